"""Items in archives: WebDataset's tars, StyleGAN's zips, or any tars and zips of files in class folders."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from gan_core.data.archives.dataset_json import listed_labels
from gan_core.data.archives.files import ZIP
from gan_core.data.archives.label_files import AUTO, DATASET_JSON, NONE, label_in, may_be_label, whole_numbers_in
from gan_core.data.archives.labels import Beside, InFolders, Labels, Listed
from gan_core.data.archives.members import Archive, Container, Member, set_aside
from gan_core.data.archives.tars import tar_members
from gan_core.data.archives.zips import zip_members
from gan_core.data.folders import LARGEST_FILE_BYTES, has_suffix
from gan_core.data.manifest import first_names
from gan_core.data.sources import RawItem
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable

MOST_CLASSES = 2**16
_logger = logging.getLogger(__name__)


def members_of(file: Archive) -> Iterator[Member]:
    """Yields the files in an archive that are neither hidden nor of an operating system.

    Raises:
        InvalidInput: it is not an archive, or is damaged.
    """
    if isinstance(file, Container):
        members = file.members()
    else:
        members = zip_members(file) if has_suffix(file.name, ZIP) else tar_members(file)
    return (member for member in members if not member.is_ignored)


@dataclass
class Survey:
    """What is in archives, without the contents of the items.

    Attributes:
        files: the archives.
        place: what messages call them.
        label: the value of `prepare.label`: `auto`, `none`, or a field of the .json files.
        counts: number of files by their suffix, in lower case, and folder, without label files and `dataset.json`.
        has_labels: whether there are label files with labels, or damaged ones.
        classes: the labels in label files.
        candidates: fields of a .json file that could be labels.
    """

    files: Sequence[Archive]
    place: str
    label: str
    counts: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)
    has_labels: bool = False
    classes: set[str] = field(default_factory=set)
    candidates: list[str] = field(default_factory=list)

    def suffixes(self) -> Counter[str]:
        """Returns the number of files of each suffix."""
        found = Counter[str]()
        for (suffix, _), count in self.counts.items():
            found[suffix] += count
        return found

    def read_label(self, member: Member) -> None:
        """Adds the label in a label file."""
        try:
            found = label_in(member, self.label)
            self.candidates = self.candidates or whole_numbers_in(member)
            self.classes.update(() if found is None else (found,))
            self.has_labels |= found is not None
        except UnreadableItem:
            self.has_labels = True


def survey(files: Sequence[Archive], label: str) -> Survey:
    """Reads the headers of archives and their label files, once. Of a tar, no names stay in memory.

    Raises:
        InvalidInput: an archive cannot be read, or has too many classes.
    """
    found = Survey(files, f"{printable(str(files[0]))}{', …' if len(files) > 1 else ''}", label)
    for member in itertools.chain.from_iterable(map(members_of, files)):
        if member.parts == (DATASET_JSON,):
            continue
        if not may_be_label(member):
            found.counts[os.path.splitext(member.name)[1].lower(), member.parts[:-1]] += 1
        elif label != NONE:
            found.read_label(member)
        if max(len(found.counts), len(found.classes)) > MOST_CLASSES:
            raise InvalidInput(f"Archives may have at most {MOST_CLASSES} folders and classes. Received: {found.place}")
    return found


class Archives:
    """The items in archives. The same items and labels as in a folder give the same classes in the same order.

    The labels are in StyleGAN's `dataset.json` in a zip, or in label files beside the items (`.cls`, `.json`), or the
    folders are the classes; see the module `labels`.

    Args:
        found: the archives.
        modality: name of the modality.
        item: what messages call an item; an s is added for several.
        suffixes: suffixes of the items' files; other files are ignored.
        read: opens an item from the content of its file.

    Raises:
        InvalidInput: there are no items, or the layout or the labels are invalid.
    """

    def __init__(
        self, found: Survey, modality: str, *, item: str, suffixes: Set[str], read: Callable[[bytes], Any]
    ) -> None:
        self.modality = modality
        self._files, self._suffixes, self._read = found.files, suffixes, read
        self.count = sum(found.suffixes()[suffix] for suffix in suffixes)
        others, listed = found.counts.total() - self.count, ", ".join(sorted(suffixes))
        if not self.count:
            raise InvalidInput(
                f"Archives must contain {item}s ({listed}). Received: {found.place} with {others} other files"
            )
        if others:
            _logger.info("Ignored %d files without the suffixes %s in %s", others, listed, found.place)
        self._labels = _labels_of(found, item, suffixes)
        self.classes = self._labels.classes

    def __iter__(self) -> Iterator[RawItem]:
        label_of = {name: label for label, name in enumerate(self.classes)}
        for file in self._files:
            place = f"{printable(file.name)}/" if len(self._files) > 1 else ""
            for member, label in self._labels.of(file, members_of(file), self._is_item):
                read, number = member.read, -1
                if isinstance(label, UnreadableItem):
                    read = functools.partial(set_aside, str(label))
                elif label is not None:
                    number = label_of[label]
                path = place + printable("/".join(member.parts))
                yield RawItem(path, number, functools.partial(_open, read, self._read))

    def _is_item(self, member: Member) -> bool:
        return has_suffix(member.name, self._suffixes)


def _labels_of(found: Survey, item: str, suffixes: Set[str]) -> Labels:
    if found.label == NONE:
        return InFolders(set(), item, found.place)
    zips = [file for file in found.files if has_suffix(file.name, ZIP)] if found.label == AUTO else []
    if listed := {file: labels for file in zips if (labels := listed_labels(members_of(file), str(file))) is not None}:
        return Listed(listed)
    if found.has_labels:
        return Beside(sorted(found.classes), item, found.label)
    if found.candidates or found.label != AUTO:
        raise InvalidInput(
            f"The parameter 'prepare.label' must name the field of .json files that is the label, or be {NONE}. "
            f"Received: label={found.label!r}, {found.place} with the whole numbers "
            f"{printable(first_names(found.candidates)) or 'none'}"
        )
    return InFolders({folder for suffix, folder in found.counts if suffix in suffixes}, item, found.place)


def _open(content: Callable[[int], bytes], read: Callable[[bytes], Any]) -> Any:
    return read(content(LARGEST_FILE_BYTES))

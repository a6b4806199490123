"""Items in archives: WebDataset's tars, or any tars of files in class folders."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from gan_core.data.folders import LARGEST_FILE_BYTES, has_suffix
from gan_core.data.label_files import AUTO, NONE, key_of, label_in, may_be_label, whole_numbers_in
from gan_core.data.manifest import first_names
from gan_core.data.members import Member, set_aside
from gan_core.data.sources import RawItem, class_name
from gan_core.data.tars import tar_members
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable

MOST_CLASSES = 2**16
_MOST_IN_SAMPLE = 64
_logger = logging.getLogger(__name__)


def members_of(file: Path) -> Iterator[Member]:
    """Yields the files in an archive that are neither hidden nor of an operating system.

    Raises:
        InvalidInput: it is not an archive, or is damaged.
    """
    return (member for member in tar_members(file) if not member.is_ignored)


class Archives:
    """The items in archives. The same items and labels as in a folder give the same classes in the same order.

    If there are label files (`.cls`, `.json`), the label of an item is in the one that directly
    follows or precedes it in the archive and has the same key, which is the path up to the first dot of the name.
    Without label files, the folders are the classes; folders that contain all items are not.

    The archives are read twice, the first time only the headers and the label files, so that the names need not stay
    in memory.

    Args:
        files: the archives.
        modality: name of the modality.
        item: what messages call an item; an s is added for several.
        suffixes: suffixes of the items' files; other files are ignored.
        read: opens an item from the content of its file.
        label: the value of `prepare.label`: a field of the .json files; `auto` for the one that is called `label`, or
            the .cls files, or the folders; `none` for no labels.

    Raises:
        InvalidInput: an archive cannot be read, or the layout is invalid.
    """

    def __init__(
        self,
        files: Sequence[Path],
        modality: str,
        *,
        item: str,
        suffixes: Set[str],
        read: Callable[[bytes], Any],
        label: str,
    ) -> None:
        self.modality = modality
        self._files, self._item, self._suffixes, self._read, self._label = files, item, suffixes, read, label
        self._place = f"{printable(str(files[0]))}{', …' if len(files) > 1 else ''}"
        folders, labels, others = Counter[tuple[str, ...]](), set[str](), 0
        self._labelled, candidates = False, list[str]()
        for member in itertools.chain.from_iterable(map(members_of, files)):
            if has_suffix(member.name, suffixes):
                folders[member.parts[:-1]] += 1
            elif not may_be_label(member):
                others += 1
            elif label != NONE:
                try:
                    found = label_in(member, label)
                    labels.update(() if found is None else (found,))
                    candidates = candidates or whole_numbers_in(member)
                    self._labelled |= found is not None
                except UnreadableItem:
                    self._labelled = True
            if max(len(folders), len(labels)) > MOST_CLASSES:
                raise InvalidInput(f"Archives may have at most {MOST_CLASSES} classes. Received: {self._place}")
        self.count = folders.total()
        if not self.count:
            raise InvalidInput(
                f"Archives must contain {item}s ({', '.join(sorted(suffixes))}). Received: {self._place} with {others} "
                "other files"
            )
        if others:
            listed = ", ".join(sorted(suffixes))
            _logger.info("Ignored %d files without the suffixes %s in %s", others, listed, self._place)
        if not self._labelled and (candidates or label not in (AUTO, NONE)):
            raise InvalidInput(
                f"The parameter 'prepare.label' must name the field of .json files that is the label, or be {NONE}. "
                f"Received: label={label!r}, {self._place} with the whole numbers "
                f"{printable(first_names(candidates)) or 'none'}"
            )
        self._class_of = {} if self._labelled or label == NONE else self._classes_of(folders)
        self.classes: Sequence[str] = sorted(labels if self._labelled else set(self._class_of.values()))

    def __iter__(self) -> Iterator[RawItem]:
        label_of = {name: label for label, name in enumerate(self.classes)}
        for file in self._files:
            place = f"{printable(file.name)}/" if len(self._files) > 1 else ""
            for member, label in self._with_labels(members_of(file)):
                read, number = member.read, -1
                if isinstance(label, UnreadableItem):
                    read = functools.partial(set_aside, str(label))
                elif label is not None:
                    number = label_of[label]
                path = place + printable("/".join(member.parts))
                yield RawItem(path, number, functools.partial(_open, read, self._read))

    def _with_labels(self, members: Iterator[Member]) -> Iterator[tuple[Member, str | UnreadableItem | None]]:
        """Yields each item with its class, with None if there are no classes, or with the reason to set it aside."""
        if not self._labelled:
            for member in members:
                if has_suffix(member.name, self._suffixes):
                    yield member, self._class_of.get(member.parts[:-1])
            return
        for _, group in itertools.groupby(members, key_of):
            first = list(itertools.islice(group, _MOST_IN_SAMPLE))
            label = self._label_of(first)
            for member in itertools.chain(first, group):
                if has_suffix(member.name, self._suffixes):
                    yield member, label

    def _label_of(self, sample: Sequence[Member]) -> str | UnreadableItem:
        """Returns the label of a sample, whose files have the same key, or why it cannot be used."""
        items = sum(has_suffix(member.name, self._suffixes) for member in sample)
        if items > 1 or len(sample) == _MOST_IN_SAMPLE:
            return UnreadableItem(f"its key belongs to {items} {self._item}s that follow each other")
        files = Counter(os.path.splitext(member.name)[1].lower() for member in sample if may_be_label(member))
        if files.total() > len(files):
            return UnreadableItem("its key belongs to several label files of one kind")
        try:
            # .cls comes before .json
            for member in sorted(filter(may_be_label, sample), key=lambda one: os.path.splitext(one.name)[1].lower()):
                if (label := label_in(member, self._label)) is not None:
                    return label
        except UnreadableItem as error:
            return error
        return UnreadableItem("the archive has no label (.cls, .json) of its key directly before or after it")

    def _classes_of(self, folders: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], str]:
        """Returns the class of each folder that holds items; empty if the folders are no classes."""
        ends = zip(min(folders), max(folders), strict=False)  # what these two share, all share
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
        names = {folder: folder[shared:] for folder in folders}
        listed = [printable("/".join(name)) for name in sorted(folders)]
        if set(names.values()) == {()}:
            return {}
        if {len(name) for name in names.values()} != {1}:
            raise InvalidInput(
                f"Archives must contain either {self._item}s without labels, or one folder for each class, or label "
                f"files. Received: {self._place} with {self._item}s in the folders {first_names(listed)}"
            )
        classes = {folder: class_name(name[0]) for folder, name in names.items()}
        if len(set(classes.values())) < len(classes):
            raise InvalidInput(
                "Two folders must not have the same class name. Received: "
                f"{self._place} with the folders {first_names(listed)}"
            )
        return classes


def _open(content: Callable[[int], bytes], read: Callable[[bytes], Any]) -> Any:
    return read(content(LARGEST_FILE_BYTES))

"""Where the labels of the items in archives are."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Protocol

from gan_core.data.archives.label_files import DATASET_JSON, key_of, label_in, label_suffix, may_be_label
from gan_core.data.archives.members import Archive, Member
from gan_core.data.manifest import first_names
from gan_core.data.sources import class_name
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable

_MOST_IN_SAMPLE = 64

Labelled = tuple[Member, str | UnreadableItem | None]
"""An item with its class, with None without classes, or with the reason to set it aside."""


class Labels(Protocol):
    """The labels of the items in archives.

    Attributes:
        classes: the names of the classes, sorted.
    """

    classes: Sequence[str]

    def of(self, file: Archive, members: Iterator[Member], is_item: Callable[[Member], bool]) -> Iterator[Labelled]:
        """Yields the items among the members of an archive, with their labels."""


class Listed:
    """Labels that a `dataset.json` lists. Archives without classes have empty lists."""

    def __init__(self, labels: Mapping[Archive, Mapping[str, str]]) -> None:
        self.classes: Sequence[str] = sorted({name for found in labels.values() for name in found.values()})
        self._labels = labels

    def of(self, file: Archive, members: Iterator[Member], is_item: Callable[[Member], bool]) -> Iterator[Labelled]:
        """Yields each item with the label that the `dataset.json` of its archive gives it."""
        labels = self._labels.get(file, {})
        for member in filter(is_item, members):
            label = labels.get("/".join(member.parts))
            yield member, label or (UnreadableItem(f"{DATASET_JSON} gives it no label") if self.classes else None)


class Beside:
    """Labels in files that directly follow or precede the item in the archive and have its key, as in WebDataset."""

    def __init__(self, classes: Sequence[str], item: str, label: str) -> None:
        self.classes = classes
        self._item, self._label = item, label

    def of(self, file: Archive, members: Iterator[Member], is_item: Callable[[Member], bool]) -> Iterator[Labelled]:
        """Yields each item with the label of its sample. Keeps one sample in memory."""
        del file
        for _, group in itertools.groupby(members, key_of):
            first = list(itertools.islice(group, _MOST_IN_SAMPLE))
            label = self._label_of(first, sum(map(is_item, first)))
            yield from ((member, label) for member in itertools.chain(first, group) if is_item(member))

    def _label_of(self, sample: Sequence[Member], items: int) -> str | UnreadableItem:
        if items > 1 or len(sample) == _MOST_IN_SAMPLE:
            return UnreadableItem(f"its key belongs to {items} {self._item}s that follow each other")
        files = sorted(filter(may_be_label, sample), key=label_suffix)  # .cls comes before .json
        if max(Counter(map(label_suffix, files)).values(), default=0) > 1:
            return UnreadableItem("its key belongs to several label files of one kind")
        try:
            found = (label for member in files if (label := label_in(member, self._label)) is not None)
            none = "the archive has no label (.cls, .json) of its key directly before or after it"
            return next(found, UnreadableItem(none))
        except UnreadableItem as error:
            return error


class InFolders:
    """The folders of the items as classes; folders that contain all items are not.

    Args:
        folders: the folders that hold items; empty if they are not to be classes.
        item: what messages call an item.
        place: what messages call the archives.

    Raises:
        InvalidInput: only some items are in a class folder, a class folder contains a folder, or two are one class.
    """

    def __init__(self, folders: Set[tuple[str, ...]], item: str, place: str) -> None:
        ends = zip(min(folders, default=()), max(folders, default=()), strict=False)  # what these two share, all share
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
        names = {folder: folder[shared:] for folder in folders} if len(folders) > 1 else {}
        listed = first_names([printable("/".join(folder)) or "(none)" for folder in sorted(folders)])
        if names and {len(name) for name in names.values()} != {1}:
            raise InvalidInput(
                f"Archives must contain either {item}s without labels, or one folder for each class, or label files. "
                f"Received: {place} with {item}s in the folders {listed}"
            )
        self._class_of = {folder: class_name(name[0]) for folder, name in names.items()}
        self.classes: Sequence[str] = sorted(set(self._class_of.values()))
        if len(self.classes) < len(names):
            raise InvalidInput(
                f"Two folders must not have the same class name. Received: {place} with the folders {listed}"
            )

    def of(self, file: Archive, members: Iterator[Member], is_item: Callable[[Member], bool]) -> Iterator[Labelled]:
        """Yields each item with its folder's class."""
        del file
        return ((member, self._class_of.get(member.parts[:-1])) for member in filter(is_item, members))

"""Items that a CSV lists: a path or a text in each line, with labels in a column."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from gan_core.data.archives.label_files import label_text
from gan_core.data.archives.source import MOST_CLASSES
from gan_core.data.csv_table import Columns, lines_of, place_of_csv, relative_path
from gan_core.data.folders import read_below
from gan_core.data.sources import RawItem
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile


class FileOfList(RawFile, Protocol):
    """A CSV that lies elsewhere, with the files that it lists."""

    def read_beside(self, path: str) -> bytes:
        """Returns the content of a file, whose path begins where the CSV lies.

        Raises:
            UnreadableItem: there is no such file, or it is too large.
        """


class Listing:
    """The items that a CSV lists. The same items and labels as in a folder give the same classes in the same order.

    The CSV is read twice, the first time to find the classes and the files that are listed more than once.

    Args:
        file: the CSV. Paths in it begin in its folder.
        columns: the columns to read.
        modality: name of the modality.
        read: opens an item from its content.

    Raises:
        InvalidInput: the CSV cannot be read, lists nothing, or has too many classes.
    """

    def __init__(self, file: Path | FileOfList, columns: Columns, modality: str, read: Callable[[bytes], Any]) -> None:
        self.modality = modality
        self._file, self._columns, self._read = file, columns, read
        self.count, found = 0, set[str]()
        listed, self._repeated = set[int](), set[int]()  # hashes of paths, which are smaller than the paths
        for _, content, label in self._items():
            self.count += 1
            found.update((label,) if isinstance(label, str) else ())
            if not columns.is_text and not isinstance(label, UnreadableItem):
                (self._repeated if hash(content) in listed else listed).add(hash(content))
            if len(found) > MOST_CLASSES:
                raise InvalidInput(f"A CSV may have at most {MOST_CLASSES} classes. Received: {place_of_csv(file)}")
        self.classes: Sequence[str] = sorted(found)
        if not self.count:
            raise InvalidInput(f"A CSV must have lines after its header. Received: {place_of_csv(file)}")

    def __iter__(self) -> Iterator[RawItem]:
        number_of = {name: number for number, name in enumerate(self.classes)}
        file = self._file
        read_file = (
            functools.partial(_read_beside, file.parent.resolve(), file.parent)
            if isinstance(file, Path)
            else file.read_beside
        )
        for name, content, label in self._items():
            if isinstance(label, UnreadableItem):
                yield RawItem(name, -1, functools.partial(_refuse, str(label)))
            elif hash(content) in self._repeated:
                yield RawItem(name, -1, functools.partial(_refuse, "it is listed more than once"))
            elif self._columns.is_text:
                yield RawItem(name, number_of.get(label or "", -1), functools.partial(self._read, content.encode()))
            else:
                opener = functools.partial(_open, read_file, content, self._read)
                yield RawItem(name, number_of.get(label or "", -1), opener)

    def _items(self) -> Iterator[tuple[str, str, str | UnreadableItem | None]]:
        """Yields each item's name, its path or text, and its class, None without classes, or what is wrong with it."""
        for number, values in itertools.islice(lines_of(self._file), 1, None):
            if len(values) != self._columns.count:
                reason = f"the line has {len(values)} values, and the header {self._columns.count}"
                yield f"line {number}", "", UnreadableItem(reason)
            elif self._columns.is_text:
                yield f"line {number}", values[self._columns.item], self._class_of(values)
            elif (path := relative_path(values[self._columns.item])) is None:
                rule = "its path must lead to a file below the folder of the CSV, without / before it or .."
                yield printable(values[self._columns.item]) or f"line {number}", "", UnreadableItem(rule)
            else:
                yield printable(path), path, self._class_of(values)

    def _class_of(self, values: Sequence[str]) -> str | UnreadableItem | None:
        if self._columns.label is None:
            return None
        try:
            return label_text(values[self._columns.label])
        except UnreadableItem as error:
            return error


def _read_beside(root: Path, folder: Path, path: str) -> bytes:
    return read_below(root, folder / path)


def _open(read_file: Callable[[str], bytes], path: str, read: Callable[[bytes], Any]) -> Any:
    return read(read_file(path))


def _refuse(reason: str) -> Any:
    raise UnreadableItem(reason)

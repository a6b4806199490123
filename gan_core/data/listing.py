"""Items that a CSV lists: a path or a text in each line, with labels in a column."""

from __future__ import annotations

import csv
import errno
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.data.archives.label_files import AUTO, NONE, label_text
from gan_core.data.archives.source import MOST_CLASSES
from gan_core.data.manifest import first_names
from gan_core.data.sources import RawItem, open_below
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import require_regular

CSV = frozenset({".csv"})
PATH_COLUMNS = ("path", "file_name")
"""Names of the column with the paths of files; Hugging Face's metadata.csv has the second."""
TEXT_COLUMN = "text"
LARGEST_BYTES = 2**27
MOST_LINES = 2**22


@dataclass(frozen=True)
class Columns:
    """The columns of a CSV that are read, by their number.

    Attributes:
        count: number of columns.
        item: the column with the paths or the texts.
        is_text: whether it holds texts.
        label: the column with the labels; None without labels.
    """

    count: int
    item: int
    is_text: bool
    label: int | None


def header_of(file: Path) -> Sequence[str]:
    """Returns the names of the columns of a CSV.

    Raises:
        InvalidInput: it cannot be read, or two columns have one name.
    """
    _, header = next(_lines(file), (0, list[str]()))
    if len(set(header)) < len(header):
        raise InvalidInput(f"The columns of a CSV must have different names. Received: {_place(file)}, {header}")
    return header


def columns_of(file: Path, label: str, *, is_text: bool) -> Columns:
    """Finds the columns of a CSV.

    Args:
        file: the CSV.
        label: name of the column with the labels; `none` for no labels. `auto` takes the column `label`.
        is_text: whether the items are texts in the CSV itself.

    Raises:
        InvalidInput: a column is missing, or `auto` does not decide; also as `header_of`.
    """
    header = header_of(file)
    items = [name for name in ((TEXT_COLUMN,) if is_text else PATH_COLUMNS) if name in header]
    if len(items) != 1:
        raise InvalidInput(
            f"A CSV must have commas between its values, and one column {' or '.join(PATH_COLUMNS)} with the path of a "
            f"file in each line, or {TEXT_COLUMN} with a text in each line. Received: {_place(file)} with the columns "
            f"{_names(header)}"
        )
    others = [name for name in header if name not in (*PATH_COLUMNS, TEXT_COLUMN)]
    chosen = "label" if label == AUTO and "label" in others else label
    if chosen == NONE or (chosen == AUTO and not others):
        return Columns(len(header), header.index(items[0]), is_text, None)
    if chosen not in others:
        raise InvalidInput(
            f"The parameter 'prepare.label' must name the column with the labels, or be {NONE}. Received: "
            f"label={label!r}, {_place(file)} with the columns {_names(others)}"
        )
    return Columns(len(header), header.index(items[0]), is_text, header.index(chosen))


def listed_paths(file: Path) -> Iterator[str]:
    """Yields the paths in a CSV that lead to no place outside its folder, as often as they are listed.

    Raises:
        InvalidInput: as `header_of`.
    """
    columns = [number for number, name in enumerate(header_of(file)) if name in PATH_COLUMNS]
    for _, values in itertools.islice(_lines(file), 1, None):
        for column in columns:
            if column < len(values) and (path := _relative(values[column])) is not None:
                yield path


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

    def __init__(self, file: Path, columns: Columns, modality: str, read: Callable[[bytes], Any]) -> None:
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
                raise InvalidInput(f"A CSV may have at most {MOST_CLASSES} classes. Received: {_place(file)}")
        self.classes: Sequence[str] = sorted(found)
        if not self.count:
            raise InvalidInput(f"A CSV must have lines after its header. Received: {_place(file)}")

    def __iter__(self) -> Iterator[RawItem]:
        number_of = {name: number for number, name in enumerate(self.classes)}
        root = self._file.parent.resolve()
        for name, content, label in self._items():
            if isinstance(label, UnreadableItem):
                yield RawItem(name, -1, functools.partial(_refuse, str(label)))
            elif hash(content) in self._repeated:
                yield RawItem(name, -1, functools.partial(_refuse, "it is listed more than once"))
            elif self._columns.is_text:
                yield RawItem(name, number_of.get(label or "", -1), functools.partial(self._read, content.encode()))
            else:
                opener = functools.partial(open_below, root, self._file.parent / content, self._read)
                yield RawItem(name, number_of.get(label or "", -1), opener)

    def _items(self) -> Iterator[tuple[str, str, str | UnreadableItem | None]]:
        """Yields each item's name, its path or text, and its class, None without classes, or what is wrong with it."""
        for number, values in itertools.islice(_lines(self._file), 1, None):
            if len(values) != self._columns.count:
                reason = f"the line has {len(values)} values, and the header {self._columns.count}"
                yield f"line {number}", "", UnreadableItem(reason)
            elif self._columns.is_text:
                yield f"line {number}", values[self._columns.item], self._class_of(values)
            elif (path := _relative(values[self._columns.item])) is None:
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


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the values of each line that is not empty, and the number of the line in which they end."""
    try:
        if (size := require_regular(file)) > LARGEST_BYTES:
            raise OSError(errno.EFBIG, f"{size} bytes, more than the limit of {LARGEST_BYTES}")
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            for values in reader:
                if reader.line_num > MOST_LINES:
                    raise OSError(errno.EFBIG, f"more than {MOST_LINES} lines")
                if values:
                    yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = printable(getattr(error, "strerror", None) or str(error))
        raise InvalidInput(f"A .csv must be a whole CSV in UTF-8: {said}. Received: {_place(file)}") from None


def _relative(path: str) -> str | None:
    """Returns a path with slashes; None if it is empty or may lead out of the folder in which it begins."""
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
    leads_out = path.startswith(("/", "\\")) or ".." in parts
    return None if leads_out or not parts or "\0" in path else "/".join(parts)


def _refuse(reason: str) -> Any:
    raise UnreadableItem(reason)


def _names(names: Sequence[str]) -> str:
    return printable(first_names(names)) or "none"


def _place(file: Path) -> str:
    return printable(str(file))

"""The columns and lines of a CSV that lists items: a path or a text in each line, and labels in a column."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gan_core.data.archives.label_files import AUTO, NONE
from gan_core.data.manifest import first_names
from gan_core.errors import InvalidInput
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile, require_regular

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


def header_of(file: RawFile) -> Sequence[str]:
    """Returns the names of the columns of a CSV.

    Raises:
        InvalidInput: it cannot be read, or two columns have one name.
    """
    _, header = next(lines_of(file), (0, list[str]()))
    if len(set(header)) < len(header):
        raise InvalidInput(f"The columns of a CSV must have different names. Received: {place_of_csv(file)}, {header}")
    return header


def columns_of(file: RawFile, label: str, *, is_text: bool) -> Columns:
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
        files = f"one column {' or '.join(PATH_COLUMNS)} with the path of a file in each line"
        texts = f"{TEXT_COLUMN} with a text in each line"
        if {TEXT_COLUMN, *PATH_COLUMNS}.isdisjoint(header):
            rule = f"A CSV must have commas between its values, and {files}, or {texts}"
        else:
            rule = f"A CSV of texts must have one column {texts}" if is_text else f"A CSV of files must have {files}"
        raise InvalidInput(f"{rule}. Received: {place_of_csv(file)} with the columns {_names(header)}")
    others = [name for name in header if name not in (*PATH_COLUMNS, TEXT_COLUMN)]
    chosen = "label" if label == AUTO and "label" in others else label
    if chosen == NONE or (chosen == AUTO and not others):
        return Columns(len(header), header.index(items[0]), is_text, None)
    if chosen not in others:
        raise InvalidInput(
            f"The parameter 'prepare.label' must name the column with the labels, or be {NONE}. Received: "
            f"label={label!r}, {place_of_csv(file)} with the columns {_names(others)}"
        )
    return Columns(len(header), header.index(items[0]), is_text, header.index(chosen))


def listed_paths(file: RawFile) -> Iterator[str]:
    """Yields the paths in a CSV that lead to no place outside its folder, as often as they are listed.

    Raises:
        InvalidInput: as `header_of`.
    """
    columns = [number for number, name in enumerate(header_of(file)) if name in PATH_COLUMNS]
    for _, values in itertools.islice(lines_of(file), 1, None):
        for column in columns:
            if column < len(values) and (path := relative_path(values[column])) is not None:
                yield path


def lines_of(file: RawFile) -> Iterator[tuple[int, list[str]]]:
    """Yields the values of each line that is not empty, and the number of the line in which they end."""
    try:
        if (size := require_regular(file)) > LARGEST_BYTES:
            raise OSError(errno.EFBIG, f"{size} bytes, more than the limit of {LARGEST_BYTES}")
        with file.open("rb", -1) as content:
            stream = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            for values in reader:
                if reader.line_num > MOST_LINES:
                    raise OSError(errno.EFBIG, f"more than {MOST_LINES} lines")
                if values:
                    yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = printable(getattr(error, "strerror", None) or str(error))
        raise InvalidInput(f"A .csv must be a whole CSV in UTF-8: {said}. Received: {place_of_csv(file)}") from None


def relative_path(path: str) -> str | None:
    """Returns a path with slashes; None if it is empty or may lead out of the folder in which it begins."""
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
    leads_out = path.startswith(("/", "\\")) or ".." in parts
    return None if leads_out or not parts or "\0" in path else "/".join(parts)


def _names(names: Sequence[str]) -> str:
    return printable(first_names(names)) or "none"


def place_of_csv(file: RawFile) -> str:
    """Returns what messages call a CSV."""
    return printable(str(file))

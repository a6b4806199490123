"""Items in parquet files: a column of contents and a column of labels, as Hugging Face's data sets have them."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gan_core.data.archives.label_files import label_text
from gan_core.data.archives.source import MOST_CLASSES
from gan_core.data.folders import LARGEST_FILE_BYTES
from gan_core.data.parquet.columns import Columns
from gan_core.data.parquet.row_groups import RowGroups, batches, opened
from gan_core.data.sources import RawItem
from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile, require_regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_LABELS_AT_ONCE = 2**12
_row_groups = RowGroups()


def schema_of(path: RawFile) -> pa.Schema:
    """Returns the columns of a parquet file and their types.

    Raises:
        InvalidInput: it is not a parquet file, is damaged, or is truncated.
    """
    with _whole(path) as file:
        return file.schema_arrow


class ParquetRows:
    """The rows of parquet files. The same items and labels as in a folder give the same classes in the same order.

    The labels are read twice, the first time to find the classes. A row is read when it is opened, with its row group;
    see `row_groups`.

    Args:
        files: the files, all with these columns.
        columns: the columns to read.
        modality: name of the modality.
        read: opens an item from its content.

    Raises:
        InvalidInput: a file cannot be read, or there are no rows, more rows than bytes or too many classes.
    """

    def __init__(self, files: Sequence[RawFile], columns: Columns, modality: str, read: Callable[[bytes], Any]) -> None:
        self.modality = modality
        self._files, self._columns, self._read = files, columns, read
        self.count, found = 0, set[str]()
        for file in files:
            _require_modest(file)
            for _, label in self._rows(file):
                self.count += 1
                found.update((label,) if isinstance(label, str) else ())
                if len(found) > MOST_CLASSES:
                    raise InvalidInput(
                        f"A column of labels may have at most {MOST_CLASSES} values. Received: {printable(str(file))} "
                        f"with the column {printable(str(columns.label))}"
                    )
        self.classes: Sequence[str] = sorted(found)
        if not self.count:
            raise InvalidInput(f"A parquet file must have rows. Received: {printable(str(files[0]))}")

    def __iter__(self) -> Iterator[RawItem]:
        number_of = {name: number for number, name in enumerate(self.classes)}
        for file in self._files:
            place = f"{printable(file.name)}/" if len(self._files) > 1 else ""
            for number, (row, label) in enumerate(self._rows(file)):
                reason = str(label) if isinstance(label, UnreadableItem) else None
                opener = functools.partial(_open, file, row, self._columns.item, self._read, reason)
                yield RawItem(f"{place}row {number}", -1 if reason or label is None else number_of[str(label)], opener)

    def _rows(self, path: RawFile) -> Iterator[tuple[tuple[int, int], str | UnreadableItem | None]]:
        """Yields each row's row group and number in it, with its class, None without classes, or what is wrong."""
        label = self._columns.label
        with _whole(path) as file:
            for group in range(file.num_row_groups):
                if label is None:
                    rows_of_group = file.read_row_group(group, columns=[]).num_rows
                    yield from (((group, row), None) for row in range(rows_of_group))
                    continue
                rows = itertools.count()
                for values in batches(file, group, label, _LABELS_AT_ONCE):
                    yield from (((group, next(rows)), self._class_of(value)) for value in values.to_pylist())

    def _class_of(self, value: object) -> str | UnreadableItem:
        names = self._columns.names
        if value is None:
            return UnreadableItem("it has no label")
        try:
            if not names:
                return label_text(value)
            if isinstance(value, int) and 0 <= value < len(names):
                return label_text(names[value])
            return UnreadableItem(f"no class has the label {value}")
        except UnreadableItem as error:
            return error


def _require_modest(path: RawFile) -> None:
    """Checks the number of rows that the file says it has, before any value is read."""
    with _whole(path) as file:
        rows = sum(file.read_row_group(group, columns=[]).num_rows for group in range(file.num_row_groups))
    if rows > path.stat().st_size:
        raise InvalidInput(
            f"A parquet file must not have more rows than bytes. Received: {printable(str(path))} with {rows} rows"
        )


@contextlib.contextmanager
def _whole(path: RawFile) -> Iterator[pq.ParquetFile]:
    """Opens a file and turns what pyarrow raises into InvalidInput."""
    try:
        require_regular(path)
        with opened(path) as file:
            yield file
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:  # a damaged file can make pyarrow raise nearly anything
        raise InvalidInput(
            f"A .parquet must be a whole parquet file: {printable(str(error) or type(error).__name__)[:200]}. "
            f"Received: {printable(str(path))}"
        ) from None


def _open(path: RawFile, place: tuple[int, int], column: str, read: Callable[[bytes], Any], reason: str | None) -> Any:
    if reason:
        raise UnreadableItem(reason)
    content = _row_groups.value(path, *place, column)
    if len(content) > LARGEST_FILE_BYTES:
        raise UnreadableItem(f"more than {LARGEST_FILE_BYTES} bytes")
    return read(content)

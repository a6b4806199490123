"""Reads a column of a parquet file, one row group at a time, and keeps the row groups that were read last.

Nothing here asks pyarrow for the metadata of a row group or a column chunk: in a damaged file, that ends the process.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile, for_library

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST_BYTES = 2**29
"""Of the items in a row group; also of all row groups that are kept."""
_ROWS_TOGETHER = 64
_CATEGORIES_AT_ONCE = 2**12


def opened(path: RawFile) -> pq.ParquetFile:
    """Opens a parquet file so that it reads no more than it is asked for. Raises nearly anything if it is damaged."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(for_library(path), pre_buffer=False, buffer_size=2**20, page_checksum_verification=True)


def batches(file: pq.ParquetFile, group: int, column: str, rows: int) -> Iterator[pa.Array]:
    """Yields the values of a column in one row group, `rows` at a time, of a struct its field `bytes`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in file.iter_batches(rows, row_groups=[group], columns=[column], use_threads=False):
        array = batch.column(0)
        yield pc.struct_field(array, "bytes") if pa.types.is_struct(array.type) else array


class RowGroups:
    """The row groups that this process read last. Several threads may use it.

    A row group that cannot be read is kept too, as the reason.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], tuple[pa.ChunkedArray | str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def value(self, path: RawFile, group: int, row: int, column: str) -> bytes:
        """Returns a value of a column of bytes or texts.

        Raises:
            UnreadableItem: the row group cannot be read, is too large, or the value is missing.
        """
        with self._lock:
            values = self._values(path, group, column)
        if isinstance(values, str):
            raise UnreadableItem(values)
        if row >= len(values):
            raise UnreadableItem("its row group has fewer rows than the file says")
        if not values[row].is_valid:
            raise UnreadableItem("it has no content in the file")
        return bytes(values[row].as_buffer())

    def _values(self, path: RawFile, group: int, column: str) -> pa.ChunkedArray | str:
        try:
            status = path.stat()
        except OSError as error:
            return f"the file cannot be read: {error.strerror}"
        key = (path, status.st_mtime_ns, status.st_size, group, column)
        if key not in self._kept:
            while self._kept and sum(size for _, size in self._kept.values()) > LARGEST_BYTES // 2:
                self._kept.popitem(last=False)
            self._kept[key] = _read(path, group, column)
        self._kept.move_to_end(key)
        return self._kept[key][0]


def _read(path: RawFile, group: int, column: str) -> tuple[pa.ChunkedArray | str, int]:
    """Returns the values in a row group, or why it cannot be read, and their size in bytes."""
    import pyarrow as pa

    arrays, single, size = [], [], 0
    try:
        with opened(path) as file:
            for array in _single_values(file, group, column):
                single.append(array)
                size += array.nbytes
                if size > LARGEST_BYTES:
                    return f"its row group has more than {LARGEST_BYTES} bytes; write fewer rows in each", 0
                if len(single) == _ROWS_TOGETHER:
                    arrays.append(pa.concat_arrays(single))
                    single = []
            return pa.chunked_array([*arrays, *single], None if arrays or single else pa.binary()), size
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:  # a damaged file can make pyarrow raise nearly anything
        return printable(f"its row group cannot be read: {str(error) or type(error).__name__}")[:200], 0


def _single_values(file: pq.ParquetFile, group: int, column: str) -> Iterator[pa.Array]:
    """Yields the values one at a time, because a dictionary can repeat a large value in every row.

    Categories are read together: pyarrow leaves their values in the dictionary, which is read again for each batch.
    """
    import pyarrow as pa

    schema = file.schema_arrow
    categories = column in schema.names and pa.types.is_dictionary(schema.field(column).type)
    for array in batches(file, group, column, rows=_CATEGORIES_AT_ONCE if categories else 1):
        for row in range(len(array)):
            value = array.slice(row, 1)
            yield value.dictionary_decode() if pa.types.is_dictionary(value.type) else value

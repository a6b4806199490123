"""Decoded items on disk, sorted by digest and label, in files of equal ranges of digests."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from gan_core.data.engine import Form
from gan_core.staging import whole_file

BYTES_PER_RANGE = 2**26
"""Bytes of decoded items in a range, on average: what a worker sorts in memory."""

Item = tuple[bytes, int, bytes]
"""Digest, label and content of a decoded item."""


def range_of(digest: bytes, ranges: int) -> int:
    """Returns the number of the range, 0..ranges − 1, that contains a digest: its first 64 bits · ranges / 2⁶⁴."""
    return int.from_bytes(digest[:8], "big") * ranges >> 64


class WriteRange(beam.DoFn):
    """Writes the items of a range, sorted. Copies of an item are stored once, so that they take no memory.

    Args:
        folder: gets `items-<range>.npy`, the different items in the order of their digests, and `digests-<range>.npy`
            and `labels-<range>.npy`, those of all items.
        form: the form of the items.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        super().__init__()
        self._folder, self._form = folder, form

    def process(self, element: tuple[int, Iterable[Item]]) -> Iterator[None]:
        """Writes one range."""
        number, items = element
        contents: dict[bytes, bytes] = {}
        found: list[tuple[bytes, int]] = []
        for digest, label, content in items:
            contents.setdefault(digest, content)
            found.append((digest, label))
        found.sort()
        arrays = np.frombuffer(b"".join(contents[digest] for digest in sorted(contents)), self._form.dtype)
        for name, array in (
            ("items", arrays.reshape(-1, *self._form.shape)),
            ("digests", np.frombuffer(b"".join(digest for digest, _ in found), np.uint8).reshape(-1, 32)),
            ("labels", np.array([label for _, label in found], np.int32)),
        ):
            with whole_file(_path(self._folder, name, number)) as path:
                np.save(path, array, allow_pickle=False)
        yield None


class SortedItems:
    """The items that `WriteRange` wrote, by index in the order of digest and label.

    Args:
        folder: the folder of the files.
        ranges: the number of ranges, of which some may have no items.
    """

    def __init__(self, folder: Path, ranges: int) -> None:
        self._folder = folder
        self._numbers = [number for number in range(ranges) if _path(folder, "labels", number).exists()]
        counts = [len(_load(_path(folder, "labels", number))) for number in self._numbers]
        self._ends = np.array(list(itertools.accumulate(counts)), np.int64)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of the items, [N, 32]."""
        return self._all("digests", np.empty((0, 32), np.uint8))

    @property
    def labels(self) -> NDArray[np.int32]:
        """Labels, [N]; −1 without classes."""
        return self._all("labels", np.empty(0, np.int32))

    def read(self, index: int) -> NDArray[Any]:
        """Returns the decoded item at `index`."""
        place = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[place - 1]) if place else 0
        items, positions = _opened(self._folder, self._numbers[place])
        item: NDArray[Any] = items[positions[index - first]]
        return item

    def _all(self, name: str, empty: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([empty, *(_load(_path(self._folder, name, number)) for number in self._numbers)])


@functools.lru_cache(maxsize=2)
def _opened(folder: Path, number: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Returns the different items of a range, and the position in them of each of its items."""
    digests = _load(_path(folder, "digests", number))
    differs = (digests[1:] != digests[:-1]).any(axis=1)
    return _load(_path(folder, "items", number)), np.concatenate([[0], np.cumsum(differs)])


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:06d}.npy"


def _load(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array

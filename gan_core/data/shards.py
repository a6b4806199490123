"""Collects decoded items in a flat file, in the order of decoding, then encodes them in any order into .npy shards.

A shard is a plain .npy array, so that any program can read it and memory-map it.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.codec import Codec
from gan_core.config import Pairs
from gan_core.data.manifest import ShardEntry, Split
from gan_core.data.pairs import input_of
from gan_core.digests import file_digest


class ItemStore:
    """Decoded items in a flat file. Only the digest and label of each item, 36 bytes, stay in memory.

    Args:
        file: the file.
        shape: the shape of every decoded item.
        dtype: the type of its numbers.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._file = file
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._bytes_per_item = math.prod(shape) * self._dtype.itemsize
        self._digests = bytearray()
        self._labels = array("i")

    def append(self, item: NDArray[Any], digest: bytes, label: int) -> None:
        """Adds a decoded item with the SHA-256 of its array."""
        self._file.write(item.tobytes())
        self._digests += digest
        self._labels.append(label)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of the items in order of decoding, [N, 32]."""
        return np.frombuffer(bytes(self._digests), np.uint8).reshape(-1, 32)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Labels in order of decoding, [N]; −1 without classes."""
        return np.array(self._labels, np.int32)

    def read(self, index: int) -> NDArray[Any]:
        """The decoded item at `index` in order of decoding."""
        self._file.flush()
        content = os.pread(self._file.fileno(), self._bytes_per_item, index * self._bytes_per_item)
        return np.frombuffer(content, self._dtype).reshape(self._shape)


@dataclass(frozen=True)
class ItemsOf:
    """The decoded items at `indices` of a store, in that order; each iteration reads them again."""

    store: ItemStore
    indices: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yields the items."""
        return (self.store.read(index) for index in self.indices)


def write_shards(
    folder: Path,
    split: Split,
    items: ItemsOf,
    codec: Codec,
    labels: NDArray[np.int64] | None,
    *,
    pairs: Pairs,
    images_per_shard: int,
) -> Iterator[ShardEntry]:
    """Encodes the items and writes them as shards of one split.

    Args:
        folder: folder for the files.
        split: the split; the names of the files begin with it.
        items: the decoded items.
        codec: encodes them.
        labels: labels of the items, [N]; None without classes.
        pairs: kind of input arrays to make from the encoded arrays and write to separate files.
        images_per_shard: items in a file; the last one may hold fewer.
    """
    for number, start in enumerate(range(0, len(items.indices), images_per_shard)):
        chosen = ItemsOf(items.store, items.indices[start : start + images_per_shard])
        count = len(chosen.indices)
        images_path = folder / f"{split}-{number:05d}.npy"
        labels_path = folder / f"{split}-{number:05d}-labels.npy"
        inputs_path = folder / f"{split}-{number:05d}-inputs.npy"
        _write_arrays(images_path, codec.shape, map(codec.encode, chosen), count)
        if pairs != "none":
            arrays = np.load(images_path, mmap_mode="r", allow_pickle=False)
            _write_arrays(inputs_path, codec.shape, (input_of(array, pairs) for array in arrays), count)
        if labels is not None:
            np.save(labels_path, labels[start : start + images_per_shard].astype("<i4"), allow_pickle=False)
        yield ShardEntry(
            split=split,
            count=count,
            images=images_path.name,
            images_sha256=file_digest(images_path),
            labels=None if labels is None else labels_path.name,
            labels_sha256=None if labels is None else file_digest(labels_path),
            inputs=None if pairs == "none" else inputs_path.name,
            inputs_sha256=None if pairs == "none" else file_digest(inputs_path),
        )


def _write_arrays(path: Path, shape: tuple[int, int, int], arrays: Iterable[NDArray[np.uint8]], count: int) -> None:
    with path.open("wb") as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)

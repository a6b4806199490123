"""Collects decoded items in a flat file, in the order of decoding, and encodes items of any store into .npy shards.

A shard is a plain .npy array, so that any program can read it and memory-map it.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.codec import Codec
from gan_core.config import Pairs
from gan_core.data.manifest import ShardEntry, Split
from gan_core.data.pairs import input_of
from gan_core.digests import file_digest
from gan_core.staging import whole_file


class Store(Protocol):
    """Decoded items by index.

    Attributes:
        digests: SHA-256 of the items, [N, 32] uint8.
        labels: their labels, [N] int32; −1 without classes.
    """

    @property
    def digests(self) -> NDArray[np.uint8]: ...  # noqa: D102, the class says it
    @property
    def labels(self) -> NDArray[np.int32]: ...  # noqa: D102

    def read(self, index: int) -> NDArray[Any]:
        """Returns the decoded item at `index`."""


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

    store: Store
    indices: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yields the items."""
        return (self.store.read(index) for index in self.indices)


@dataclass(frozen=True)
class ShardTask:
    """What a shard is written from.

    Attributes:
        folder: folder for the files.
        split: the split; the names of the files begin with it.
        number: the shard's number in its split.
        items: the decoded items.
        labels: their labels, [N]; None without classes.
        codec: encodes them.
        pairs: kind of input arrays to make from the encoded arrays and write to a separate file.
    """

    folder: Path
    split: Split
    number: int
    items: ItemsOf
    labels: NDArray[np.int64] | None
    codec: Codec
    pairs: Pairs


def shard_tasks(
    folder: Path,
    split: Split,
    items: ItemsOf,
    labels: NDArray[np.int64] | None,
    *,
    codec: Codec,
    pairs: Pairs,
    images_per_shard: int,
) -> Iterator[ShardTask]:
    """Yields the task of each shard of a split; see ShardTask. The last shard may hold fewer items."""
    for number, start in enumerate(range(0, len(items.indices), images_per_shard)):
        part = slice(start, start + images_per_shard)
        chosen = ItemsOf(items.store, items.indices[part])
        yield ShardTask(folder, split, number, chosen, None if labels is None else labels[part], codec, pairs)


def write_shard(task: ShardTask) -> dict[str, NDArray[Any]]:
    """Encodes the items of a shard and writes its files, each completely or not at all.

    Returns:
        `entry`, the shard's entry in the manifest as JSON, and `histogram`, the number of values of each level in each
        channel, int64 [C, 256].
    """
    shape, count = task.codec.shape, len(task.items.indices)
    images, labels, inputs = (
        task.folder / f"{task.split}-{task.number:05d}{part}.npy" for part in ("", "-labels", "-inputs")
    )
    with whole_file(images) as path:
        _write_arrays(path, shape, map(task.codec.encode, task.items), count)
    arrays = np.load(images, mmap_mode="r", allow_pickle=False)
    if task.pairs != "none":
        with whole_file(inputs) as path:
            _write_arrays(path, shape, (input_of(stored, task.pairs) for stored in arrays), count)
    if task.labels is not None:
        with whole_file(labels) as path:
            np.save(path, task.labels.astype("<i4"), allow_pickle=False)
    entry = ShardEntry(
        split=task.split,
        count=count,
        images=images.name,
        images_sha256=file_digest(images),
        labels=None if task.labels is None else labels.name,
        labels_sha256=None if task.labels is None else file_digest(labels),
        inputs=None if task.pairs == "none" else inputs.name,
        inputs_sha256=None if task.pairs == "none" else file_digest(inputs),
    )
    histogram = np.zeros((shape[2], 256), np.int64)
    for stored in arrays:
        histogram += _histogram(stored)
    return {"entry": np.array(entry.model_dump_json()), "histogram": histogram}


def _histogram(array: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts the levels of an array [H, W, C] in each channel, [C, 256]."""
    return np.stack([np.bincount(levels.ravel(), minlength=256) for levels in np.moveaxis(array, 2, 0)])


def _write_arrays(path: Path, shape: tuple[int, int, int], arrays: Iterable[NDArray[np.uint8]], count: int) -> None:
    with path.open("wb") as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for one in arrays:
            file.write(np.ascontiguousarray(one).data)

"""Collects decoded images in a flat file, in the order of decoding, then writes them in any order as .npy shards.

A shard is a plain .npy array, so that any program can read it and memory-map it.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from gan_core.config import Pairs
from gan_core.data.manifest import ShardEntry, Split
from gan_core.data.pairs import input_of
from gan_core.digests import file_digest


class ImageStore:
    """Decoded images in a flat file. Only the digest and label of each image, 36 bytes, stay in memory.

    Attributes:
        shape: height, width, channels.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self._file = file
        self._bytes_per_image = shape[0] * shape[1] * shape[2]
        self._digests = bytearray()
        self._labels = array("i")

    def append(self, image: NDArray[np.uint8], digest: bytes, label: int) -> None:
        """Adds an image [H, W, C] with the SHA-256 of its pixels."""
        self._file.write(image.tobytes())
        self._digests += digest
        self._labels.append(label)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of the pixels in order of decoding, [N, 32]."""
        return np.frombuffer(bytes(self._digests), np.uint8).reshape(-1, 32)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Labels in order of decoding, [N]; −1 without classes."""
        return np.array(self._labels, np.int32)

    def read(self, index: int) -> NDArray[np.uint8]:
        """The image at `index` in order of decoding, [H, W, C]."""
        self._file.flush()
        pixels = os.pread(self._file.fileno(), self._bytes_per_image, index * self._bytes_per_image)
        return np.frombuffer(pixels, np.uint8).reshape(self.shape)


def write_shards(
    folder: Path,
    split: Split,
    store: ImageStore,
    indices: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    *,
    pairs: Pairs,
    images_per_shard: int,
) -> Iterator[ShardEntry]:
    """Writes the images at `indices` of the store, in that order, as shards of one split.

    Args:
        folder: folder for the files.
        split: the split; the names of the files begin with it.
        store: the images.
        indices: indices of the images in the store, [N].
        labels: labels of these images, [N]; None without classes.
        pairs: kind of input images to make from these images and write to separate files.
        images_per_shard: images in a file; the last one may hold fewer.
    """
    for number, start in enumerate(range(0, len(indices), images_per_shard)):
        chosen = indices[start : start + images_per_shard]
        images_path = folder / f"{split}-{number:05d}.npy"
        labels_path = folder / f"{split}-{number:05d}-labels.npy"
        inputs_path = folder / f"{split}-{number:05d}-inputs.npy"
        _write_images(images_path, store.shape, (store.read(index) for index in chosen), len(chosen))
        if pairs != "none":
            inputs = (input_of(store.read(index), pairs) for index in chosen)
            _write_images(inputs_path, store.shape, inputs, len(chosen))
        if labels is not None:
            np.save(labels_path, labels[start : start + images_per_shard].astype("<i4"), allow_pickle=False)
        yield ShardEntry(
            split=split,
            count=len(chosen),
            images=images_path.name,
            images_sha256=file_digest(images_path),
            labels=None if labels is None else labels_path.name,
            labels_sha256=None if labels is None else file_digest(labels_path),
            inputs=None if pairs == "none" else inputs_path.name,
            inputs_sha256=None if pairs == "none" else file_digest(inputs_path),
        )


def _write_images(path: Path, shape: tuple[int, int, int], images: Iterable[NDArray[np.uint8]], count: int) -> None:
    with path.open("wb") as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for image in images:
            file.write(np.ascontiguousarray(image).data)

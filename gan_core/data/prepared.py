"""Reads a prepared data set: a manifest and memory-mapped shards. Imports no TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.manifest import Manifest, Split
from gan_core.digests import file_digest
from gan_core.errors import InvalidInput
from gan_core.output_files import MANIFEST_FILE
from gan_core.untrusted_files import read_bytes

Number = TypeVar("Number", np.uint8, np.int32)


class PreparedDataset:
    """A prepared data set on disk.

    Attributes:
        manifest: the description of the data set.

    Raises:
        InvalidInput: the folder is not a prepared data set, or its files do not match its manifest.

    >>> images = PreparedDataset(Path("data")).split("train")
    >>> images.images(np.array([0, 1])).shape, images.labels(np.array([0, 1])).dtype
    ((2, 16, 16, 1), dtype('int32'))
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        try:
            text = read_bytes(folder / MANIFEST_FILE)
        except OSError as error:
            raise InvalidInput(
                f"A prepared data set must be a folder with a {MANIFEST_FILE}, written by components.prepare: "
                f"{error.strerror}. Received: {folder}"
            ) from None
        self.manifest = Manifest.parse(text, str(folder / MANIFEST_FILE))

    def split(self, name: Split) -> ImageSplit:
        """Opens one split and verifies its shards; images are read when they are asked for."""
        return ImageSplit(self.folder, self.manifest, name)


class ImageSplit:
    """The images of one split, addressed by index 0..count−1.

    Attributes:
        count: number of images.
        labelled: whether the images have labels.
        paired: whether each image is the target of an input image.
    """

    def __init__(self, folder: Path, manifest: Manifest, name: Split) -> None:
        entries = [entry for entry in manifest.shards if entry.split == name]
        self.count = sum(entry.count for entry in entries)
        self.labelled = bool(manifest.classes)
        self.paired = all(entry.inputs for entry in entries)
        self._folder = folder
        self._shape = manifest.shape
        self._starts = np.cumsum([0, *(entry.count for entry in entries)])
        shapes = [(entry.count, *manifest.shape) for entry in entries]
        self._images = [
            _open(folder / entry.images, entry.images_sha256, shape, np.uint8)
            for entry, shape in zip(entries, shapes, strict=True)
        ]
        self._inputs = [
            _open(folder / entry.inputs, entry.inputs_sha256, shape, np.uint8)
            for entry, shape in zip(entries, shapes, strict=True)
            if entry.inputs
        ]
        labels = [
            _open(folder / entry.labels, entry.labels_sha256, (entry.count,), np.int32)
            for entry in entries
            if entry.labels
        ]
        self._labels = np.concatenate(labels) if labels else np.empty(0, np.int32)
        if labels:
            _require_counted(self._labels, [getattr(entry, name) for entry in manifest.classes], folder)

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the images at `indices` [B], uint8 [B, H, W, C]."""
        return self._gather(self._images, indices)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the labels at `indices` [B], int32 [B].

        Raises:
            InvalidInput: the images have no labels.
        """
        if not self.labelled:
            raise InvalidInput(f"The examples must have labels. Received: {self._folder}, without classes")
        labels: NDArray[np.int32] = self._labels[indices]
        return labels

    def inputs(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the input images of the pairs at `indices` [B], uint8 [B, H, W, C].

        Raises:
            InvalidInput: the images are not pairs.
        """
        if not self.paired:
            raise InvalidInput(
                f"The images must be pairs (prepare.image.pairs). Received: {self._folder}, with single images"
            )
        return self._gather(self._inputs, indices)

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yields the images [start, stop) in order, uint8 [≤ batch_size, H, W, C]."""
        stop = self.count if stop is None else stop
        for first in range(start, stop, batch_size):
            yield self.images(np.arange(first, min(first + batch_size, stop)))

    def _gather(self, shards: Sequence[NDArray[np.uint8]], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        out = np.empty((len(indices), *self._shape), np.uint8)
        shard_of = np.searchsorted(self._starts, indices, side="right") - 1
        for shard in set(shard_of.tolist()):
            chosen = shard_of == shard
            out[chosen] = shards[shard][indices[chosen] - self._starts[shard]]
        return out


def _open(path: Path, sha256: str | None, shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """Memory-maps a shard and compares its content with the manifest.

    The comparison reads the file once per process, at the speed of SHA-256. Afterwards the file is in the system's
    cache.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        array: NDArray[Number] = np.load(path, mmap_mode="r", allow_pickle=False)
        stored_shape, stored_dtype = array.shape, array.dtype  # an .npz archive has neither
    # A file that is not an array can make numpy's header reader raise nearly anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"A shard must be a readable .npy file: {reason}. Received: {path}") from None
    if stored_shape != shape or stored_dtype != dtype:
        raise InvalidInput(
            f"The shard must contain {np.dtype(dtype).name} of shape {shape}, according to its manifest. "
            f"Received: {path} with {stored_dtype.name} of shape {stored_shape}"
        )
    status = path.stat()
    digest = _sha256(path.resolve(), status.st_size, status.st_mtime_ns, status.st_ino)
    if digest != sha256:
        raise InvalidInput(
            "A shard must have the SHA-256 in its manifest: prepare the data again, or fetch it again. "
            f"Received: {path} with SHA-256 {digest}, not {sha256}"
        )
    return array.view(np.ndarray)  # still memory-mapped, but without numpy.memmap, whose indexing is slow


@functools.lru_cache(maxsize=2**16)
def _sha256(path: Path, size: int, changed: int, inode: int) -> str:
    """SHA-256 of the file's content, cached until its size, modification time or inode changes."""
    del size, changed, inode
    return file_digest(path)


def _require_counted(labels: NDArray[np.int32], counts: Sequence[int], folder: Path) -> None:
    """Checks that the labels match the class counts in the manifest."""
    inside = labels.min(initial=0) >= 0 and labels.max(initial=0) < len(counts)
    if not inside or np.bincount(labels, minlength=len(counts)).tolist() != list(counts):
        raise InvalidInput(f"The labels of a split must have the class counts in its manifest. Received: {folder}")

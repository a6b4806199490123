"""Reads a prepared data set: a manifest and memory-mapped shards. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.manifest import FILE_NAME, Manifest, Split
from gan_core.errors import InvalidInput

Number = TypeVar("Number", np.uint8, np.int32)


class PreparedDataset:
    """A prepared data set on disk.

    Attributes:
        manifest: what the data set says about itself.

    Raises:
        InvalidInput: the folder holds no prepared data set, or its files do not fit its manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / FILE_NAME).read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"A prepared data set is a folder with a {FILE_NAME}, written by components.prepare: "
                f"{error.strerror}. Received: {folder}"
            ) from None
        self.manifest = Manifest.parse(text, str(folder / FILE_NAME))

    def split(self, name: Split) -> ImageSplit:
        """Opens one split; no image is read yet."""
        return ImageSplit(self.folder, self.manifest, name)


class ImageSplit:
    """The images of one split, addressed by position 0..count−1.

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
        self._shape = manifest.shape
        self._starts = np.cumsum([0, *(entry.count for entry in entries)])
        self._images = [_open(folder / entry.images, (entry.count, *manifest.shape), np.uint8) for entry in entries]
        self._inputs = [
            _open(folder / entry.inputs, (entry.count, *manifest.shape), np.uint8) for entry in entries if entry.inputs
        ]
        labels = [_open(folder / entry.labels, (entry.count,), np.int32) for entry in entries if entry.labels]
        self._labels = np.concatenate(labels) if labels else np.empty(0, np.int32)

    def images(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images at `positions` [B], uint8 [B, H, W, C]."""
        return self._gather(self._images, positions)

    def labels(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """The labels at `positions` [B], int32 [B]. Only for labelled data."""
        labels: NDArray[np.int32] = self._labels[positions]
        return labels

    def inputs(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The input images of the pairs at `positions` [B], uint8 [B, H, W, C]. Only for paired data."""
        return self._gather(self._inputs, positions)

    def batches(self, batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """All images in order, uint8 [≤ batch_size, H, W, C]."""
        for start in range(0, self.count, batch_size):
            yield self.images(np.arange(start, min(start + batch_size, self.count)))

    def _gather(self, shards: Sequence[NDArray[np.uint8]], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        out = np.empty((len(positions), *self._shape), np.uint8)
        shard_of = np.searchsorted(self._starts, positions, side="right") - 1
        for shard in set(shard_of.tolist()):
            chosen = shard_of == shard
            out[chosen] = shards[shard][positions[chosen] - self._starts[shard]]
        return out


def _open(path: Path, shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    try:
        array: NDArray[Number] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"A shard must be a readable .npy file: {error}. Received: {path}") from None
    if array.shape != shape or array.dtype != dtype:
        raise InvalidInput(
            f"The shard must hold {np.dtype(dtype).name} of shape {shape}, as its manifest says. "
            f"Received: {path} with {array.dtype.name} of shape {array.shape}"
        )
    return array.view(np.ndarray)  # memory-mapped as before, without numpy's own class, whose indexing is slow

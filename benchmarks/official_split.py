"""Fashion-MNIST with its official split: 60,000 images for training, 10,000 test images as the scores' reference.

The prepare stage splits by the images' digests, so that copies of an image stay together. The benchmarks use the
official split so that their figures are comparable with published ones.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from gan_core.data import fashion_mnist
from gan_core.data.manifest import Split

TRAIN_COUNT = 60_000


class ArraySplit:
    """Images in memory with the interface of `gan_core.data.prepared.ImageSplit`: uint8 [N, H, W, C] and int32 [N]."""

    labelled, paired = True, False

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
        self.count = len(images)
        self._images, self._labels = images, labels

    def images(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the images at `positions` [B]."""
        return self._images[positions]

    def labels(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the labels at `positions` [B]."""
        return self._labels[positions]


class ArrayDataset:
    """Two splits in memory with the interface of `gan_core.data.prepared.PreparedDataset`."""

    def __init__(self, train: ArraySplit, held_out: ArraySplit, classes: int) -> None:
        self._splits: dict[Split, ArraySplit] = {"train": train, "held_out": held_out}
        content = hashlib.sha256()
        for split in self._splits.values():
            everything = np.arange(split.count)
            content.update(split.images(everything).tobytes() + split.labels(everything).tobytes())
        self.manifest = SimpleNamespace(
            digest=f"sha256-{content.hexdigest()}",
            shape=train.images(np.arange(1)).shape[1:],
            codec=None,
            classes=tuple(range(classes)),
        )

    def split(self, name: Split) -> ArraySplit:
        """Returns one of the splits."""
        return self._splits[name]


def official_split() -> ArrayDataset:
    """Loads Fashion-MNIST from Debian's package or the public download; raises the same errors as `both_splits`."""
    images, labels = fashion_mnist.both_splits()
    images, labels = images[..., None], labels.astype(np.int32)
    train = ArraySplit(images[:TRAIN_COUNT], labels[:TRAIN_COUNT])
    return ArrayDataset(train, ArraySplit(images[TRAIN_COUNT:], labels[TRAIN_COUNT:]), len(fashion_mnist.CLASSES))

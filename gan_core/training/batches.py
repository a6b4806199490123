"""The order in which a training shows real images, and the batches in that order."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.config import TrainConfig
from gan_core.data.prepared import ImageSplit
from gan_core.training.draws import Batch


class Order(Protocol):
    """An endless sequence of image indices, a pure function of the seed."""

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Returns the indices of images `start` to `start` + `count` − 1 of the training, int64 [count]."""


class EpochOrder:
    """An endless sequence of permutations of `count` indices, one for each epoch; each depends only on (seed, epoch).

    A batch may span epochs, so any batch size works with any number of images.
    """

    def __init__(self, count: int, seed: int, stream: int = 0) -> None:
        self._count = count
        self._seed = seed
        self._stream = stream
        # A batch seldom touches more than two epochs.
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Returns the indices of images `start` to `start` + `count` − 1 of the training, int64 [count]."""
        parts = []
        while count > 0:
            epoch, offset = divmod(start, self._count)
            parts.append(self._permutation(epoch)[offset : offset + count])
            start, count = start + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        key = (self._seed, epoch + (self._stream << 40))
        return np.random.Generator(np.random.Philox(key=key)).permutation(self._count)


class BalancedOrder:
    """An endless sequence of rounds, each of which shows one image of every class.

    The order of the classes is shuffled in each round. Each class has epochs of its own, with a permutation of its
    images for each.

    Args:
        labels: int32 [N], one for each image.
        seed: seed of the order.
    """

    def __init__(self, labels: NDArray[np.int32], seed: int) -> None:
        self._members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._orders = [EpochOrder(len(members), seed, 1 + index) for index, members in enumerate(self._members)]
        self._rounds = EpochOrder(len(self._members), seed)

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Returns the indices of images `start` to `start` + `count` − 1 of the training, int64 [count]."""
        rounds = np.arange(start, start + count) // len(self._members)
        indices = np.empty(count, np.int64)
        classes = self._rounds.indices(start, count)
        for label in np.unique(classes):
            chosen = np.flatnonzero(classes == label)
            first, last = int(rounds[chosen[0]]), int(rounds[chosen[-1]])
            turns = self._orders[label].indices(first, last - first + 1)
            indices[chosen] = self._members[label][turns[rounds[chosen] - first]]
        return indices


class RealBatches:
    """The batches of real images of a training.

    Args:
        images: the train split.
        config: parameters of the training.

    >>> batches = RealBatches(images, config)
    >>> batches.batches(images_seen=0, steps=2).images.shape  # [steps, discriminator steps, B, H, W, C]
    (2, 1, 8, 16, 16, 1)
    """

    def __init__(self, images: ImageSplit, config: TrainConfig) -> None:
        self.images = images
        self.config = config
        self.order: Order = EpochOrder(images.count, config.seed)
        if config.balanced_classes:
            self.order = BalancedOrder(images.labels(np.arange(images.count)), config.seed)

    def conditions(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, NDArray[np.uint8] | None]:
        """Returns labels and input images of the images at `indices`, each None if the networks do not use it."""
        labels = self.images.labels(indices) if self.config.conditional == "on" else None
        return labels, self.images.inputs(indices) if self.config.paired else None

    def batches(self, images_seen: int, steps: int) -> Batch:
        """Returns the batches of the `steps` steps that follow `images_seen` images.

        The result is a `Batch` with one more leading axis, the steps.
        """
        shape = (steps, self.config.discriminator_steps, self.config.batch_size)
        indices = self.order.indices(images_seen, int(np.prod(shape)))
        labels, inputs = self.conditions(indices)
        images = self.images.images(indices)
        return Batch(
            images.reshape(*shape, *images.shape[1:]),
            None if labels is None else labels.reshape(shape),
            None if inputs is None else inputs.reshape(*shape, *images.shape[1:]),
        )

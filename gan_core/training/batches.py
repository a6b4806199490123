"""The order in which a training shows real images, and the batches in that order."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.config import TrainConfig
from gan_core.errors import InvalidInput
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


class TrainingImages(Protocol):
    """What `RealBatches` needs: images with the indices 0..count−1. The split of a prepared data set is an example.

    >>> def mean_level(images: TrainingImages) -> float:
    ...     return float(images.images(np.arange(images.count)).mean())
    >>> 0 < mean_level(dataset.split("train")) < 255
    True
    """

    @property
    def count(self) -> int:
        """Number of images, at least 1."""

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the images at `indices` [B], uint8 [B, H, W, C]."""

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the labels at `indices` [B], int32 [B] from 0; only for conditional GANs and balanced classes."""

    def inputs(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the input images of the pairs at `indices` [B], uint8 [B, H, W, C]; only for paired GANs."""


class RealBatches:
    """The batches of real images of a training.

    Args:
        images: the train split.
        config: parameters of the training.

    Attributes:
        classes: the highest label plus 1; 0 if the networks take no labels.

    Raises:
        InvalidInput: there is no image, `config.conditional` is auto, or images, labels or inputs are missing or have
            another form than that of `TrainingImages`.

    >>> batches = RealBatches(images, config)
    >>> batches.batches(images_seen=0, steps=2).images.shape  # [steps, discriminator steps, B, H, W, C]
    (2, 1, 8, 16, 16, 1)
    """

    def __init__(self, images: TrainingImages, config: TrainConfig) -> None:
        if images.count < 1:
            raise InvalidInput(f"A training needs at least 1 example. Received: count={images.count}")
        first = np.zeros(1, np.int64)
        _require_images("images", images.images(first))
        if config.paired:
            _require_images("inputs", images.inputs(first))
        self.images = images
        self.config = config
        self.classes = 0
        self.order: Order = EpochOrder(images.count, config.seed)
        if config.takes_labels or config.balanced_classes:
            labels = images.labels(np.arange(images.count))
            _require_labels(labels, images.count)
            if config.takes_labels:
                self.classes = int(labels.max()) + 1
            if config.balanced_classes:
                self.order = BalancedOrder(labels, config.seed)

    def conditions(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, NDArray[np.uint8] | None]:
        """Returns labels and input images of the images at `indices`, each None if the networks do not use it."""
        labels = self.images.labels(indices) if self.config.takes_labels else None
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


def _require_images(name: str, first: NDArray[np.uint8]) -> None:
    if first.dtype != np.uint8 or first.ndim != 4 or len(first) != 1:
        raise InvalidInput(
            f"The {name} of a training must be grey levels from 0 to 255, uint8 [B, H, W, C]. "
            f"Received: {first.dtype} of shape {first.shape} for one example"
        )


def _require_labels(labels: NDArray[np.int32], count: int) -> None:
    if labels.dtype != np.int32 or labels.shape != (count,):
        raise InvalidInput(
            f"The labels of a training must be int32 of shape {(count,)}, one for each example. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise InvalidInput(f"The labels of a training must be at least 0. Received: {labels.min()}")

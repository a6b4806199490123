"""Samples from latents that stay the same during a training, so that they show how the generator changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.representation import to_arrays, to_network
from gan_core.sampling import draw_latents
from gan_core.training.batches import RealBatches
from gan_core.training.diversity import mean_pairwise_distance
from gan_core.training.state import Gan

_SAMPLES = 64
_COLUMNS = 8
_MOST_CLASSES_SHOWN = 16


class FixedSamples:
    """Samples of the averaged generator from fixed latents, classes and input images.

    Args:
        gan: the networks.
        batches: the real images.

    Attributes:
        columns: number of columns in a grid of the samples; for a conditional GAN, each row has one class.
        labels: class of each sample, int32 [N], for a conditional GAN, else None.
        real_distance: the mean distance of two real images; for a conditional GAN, of two of the same class.
    """

    def __init__(self, gan: Gan, batches: RealBatches) -> None:
        self._gan = gan
        self.columns = _COLUMNS
        self.labels: NDArray[np.int32] | None = None
        classes_shown = min(gan.classes, _MOST_CLASSES_SHOWN)
        count = classes_shown * _COLUMNS or _SAMPLES
        self._latents = draw_latents(count, gan.config.latent_size, gan.config.seed)
        shown = batches.order.indices(0, count)
        self._real_images = batches.images.images(shown)
        self._inputs = batches.conditions(shown)[1]
        compared, known_labels = np.unique(shown), None
        if gan.classes:
            self.labels = (np.arange(count) % classes_shown).astype(np.int32)
            labels = batches.images.labels(np.arange(batches.images.count))
            compared = np.concatenate([np.flatnonzero(labels == label)[:_COLUMNS] for label in range(classes_shown)])
            known_labels = labels[compared]
        images = batches.images.images(compared)
        values = to_network(images, gan.symbols) if gan.symbols else images / np.float32(127.5)
        self.real_distance = mean_pairwise_distance(values, known_labels)

    def draw(self) -> NDArray[np.float32]:
        """The current samples as the generator writes them, float32 [N, *network_shape]."""
        condition: NDArray[Any] | None = self.labels
        if self._inputs is not None:
            condition = to_network(self._inputs, self._gan.symbols)
        return self._gan.sample(self._latents, condition)

    def images(self) -> NDArray[np.uint8]:
        """The current samples, uint8 [N, H, W, C]; for a conditional GAN, the classes alternate."""
        return to_arrays(self.draw(), self._gan.symbols)

    def grid(self) -> NDArray[np.uint8]:
        """The current samples in the order of a grid with `columns` columns, uint8 [N, H, W, C].

        A conditional GAN gives `columns` images of each of the first classes, class by class. A paired GAN gives for
        each image the input, the output and the target side by side: [N, H, 3 W, C].
        """
        images = self.images()
        if self.labels is not None:
            images = images[np.argsort(self.labels, kind="stable")]
        return images if self._inputs is None else np.concatenate([self._inputs, images, self._real_images], axis=2)

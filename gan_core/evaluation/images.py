"""Sets of images that the evaluator reads in batches or by index."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.generator import Conditions, Generator
from gan_core.sampling import draw_labels, draw_latents


class Images(Protocol):
    """A set of images with the indices 0..count−1. `gan_core.data.prepared.ImageSplit` is an example.

    Attributes:
        count: number of images.
    """

    count: int

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yields the images [start, stop) in order, uint8 [≤ batch_size, H, W, C]; H and W may differ between batches.

        `start` is a multiple of `batch_size`.
        """

    def images(self, indices: NDArray[np.int64]) -> Iterable[NDArray[np.uint8]]:
        """Returns or yields the images at `indices`, each uint8 [H, W, C]."""


@dataclass(frozen=True)
class ImagesWithFeatures:
    """Images with their features.

    Attributes:
        images: the images.
        features: their features; row i belongs to the image at index i.
        labels: class labels of the images, [count]: those that a generator was given, or those of a prepared data set;
            None if unknown.
    """

    images: Images
    features: FeatureSet
    labels: NDArray[np.integer] | None = None


class GeneratedImages:
    """The first `count` images of a generator for one seed.

    Attributes:
        count: number of images.
        labels: class labels that the generator was given, [count]; None for a generator without classes.
        latent_size: length of a latent vector.
    """

    def __init__(
        self,
        generator: Generator,
        count: int,
        seed: int,
        inputs: Conditions | None = None,
        compared: Codec | None = None,
    ) -> None:
        """`inputs` returns the input images by index for a paired generator; other generators ignore it.

        `compared` is the codec of the real images; None for that of the generator's own data.
        """
        metadata = generator.metadata
        self.count = count
        self.labels = draw_labels(count, metadata.class_shares, seed) if metadata.classes else None
        self.latent_size = metadata.latent_size
        self._conditions = inputs if metadata.paired else None
        if self.labels is not None:
            self._conditions = self.labels.__getitem__
        self._codec = codec_of(metadata)
        self._compared = compared or self._codec
        self._generator = generator
        self._seed = seed

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yields what a person perceives of the images [start, stop) in order, uint8 [≤ batch_size, H, W, C].

        `start` is a multiple of `batch_size`.
        """
        stop = self.count if stop is None else stop
        drawn = self._generator.batches(
            stop, self._seed, conditions=self._conditions, batch_size=batch_size, start=start
        )
        return map(functools.partial(self._codec.perceived, by=self._compared), drawn)

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns the images at `indices`, uint8 [B, H, W, C]."""
        return self.draw(draw_latents(int(indices.max()) + 1, self.latent_size, self._seed)[indices], indices)

    def draw(self, latents: NDArray[np.float32], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Generates images from latents [B, latent_size], with the classes or input images at `indices` [B].

        If the codec of the real images is another one, it stores what a person perceives.
        """
        drawn = self._generator.draw(latents, None if self._conditions is None else self._conditions(indices))
        return drawn if self._codec == self._compared else self._codec.perceived(drawn, by=self._compared)

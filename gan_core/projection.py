"""Finds the latent whose generated image is nearest to a given image: the projection of the image.

Adam changes random latents until the generated images are near. The learning rate rises to 0.1 over the first twentieth
of the steps, and falls to 0 over the last quarter along a cosine. Several random starts run as one batch, and the
nearest result is kept.

The distance is the mean squared difference of the pixels, in levels from −1 to 1, plus that of the 128 features of the
extractor `random`, which needs neither data nor weights. After each step, a latent's length is limited to the range
that contains the lengths of 99.9% of random latents, so that the found latent is one that the generator was trained on.

Departures from the publication: it searches StyleGAN2's space w from its mean, adds noise to w in place of several
starts, regularises noise maps, and compares features of VGG16.

Reference: Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, arXiv 1912.04958, section 5 and
appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.random_network import RandomExtractor
from gan_core.generator import Generator
from gan_core.representation import to_network
from gan_core.sampling import draw_latents

PICTURES = 8
"""Largest number of points of a path."""
_HIGHEST_RATE = 0.1
_RISING, _FALLING = 0.05, 0.25  # shares of the steps
_RARE_SHARE = 0.001  # of random latents, whose lengths are outside the limits


@dataclass(frozen=True)
class Projection:
    """The way from a random latent to the found one.

    Attributes:
        label: class of the found image; None for a generator without classes.
        steps: the steps after which `latents` were recorded, P numbers from 0 to the last step.
        latents: float32 [P, latent_size]; the last one is the found latent.
        pixels: mean squared difference of the pixels, in levels from −1 to 1, float32 [P].
        features: mean squared difference of the features, float32 [P].
        classes: for each tried class, the smallest sum of both differences that was found.
    """

    label: int | None
    steps: tuple[int, ...]
    latents: NDArray[np.float32]
    pixels: NDArray[np.float32]
    features: NDArray[np.float32]
    classes: dict[int, float]


def project(
    generator: Generator,
    target: NDArray[np.uint8],
    labels: Sequence[int],
    *,
    starts: int,
    steps: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Projection:
    """Searches for the latent whose image is nearest to `target`; equal arguments give equal bytes on one machine.

    Args:
        generator: an unpaired generator of images or spectrograms.
        target: stored array, uint8 [H, W, C], of the generator's shape.
        labels: the classes to try; empty for a generator without classes.
        starts: random starts for each class. All are computed as one batch.
        steps: steps of Adam.
        seed: seed of the starts.
        advance: called with 1 after each step.

    Raises:
        InvalidInput: the generator's images are not finite.
    """
    codes = np.repeat(np.array(labels, np.int32), starts)
    first = draw_latents(starts * max(1, len(labels)), generator.metadata.latent_size, seed)
    generator.draw(first, codes if len(labels) else None)  # refuses a network that cannot run
    search = _Search(generator, target, first, codes)
    shown = sorted({round(steps * (part / (PICTURES - 1)) ** 2) for part in range(PICTURES)})
    way = [first]
    for step in range(steps):
        search.step(_rate((step + 0.5) / steps))
        if step + 1 in shown:
            way.append(search.latents())
        advance(1)
    pixels, features = search.differences(way[-1])
    if not np.isfinite(pixels + features).all():
        raise InvalidInput(
            "The search must stay finite, but the generator's gradients do not. Received: a generator of "
            f"{generator.metadata.dataset_source}"
        )
    ends = pixels + features
    best = int(ends.argmin())
    found = [tuple(part[best] for part in search.differences(latents)) for latents in way]
    return Projection(
        label=int(codes[best]) if len(labels) else None,
        steps=tuple(shown),
        latents=np.stack([latents[best] for latents in way]),
        pixels=np.array([one for one, _ in found]),
        features=np.array([one for _, one in found]),
        classes={int(label): float(ends[codes == label].min()) for label in labels},
    )


class _Search:
    """Latents that Adam changes, all at the same time; each depends on its own distance only."""

    def __init__(
        self, generator: Generator, target: NDArray[np.uint8], first: NDArray[np.float32], codes: NDArray[np.int32]
    ) -> None:
        import keras
        import tensorflow as tf
        from scipy.stats import chi

        self._latents = keras.Variable(first)
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build([self._latents])
        extractor, levels = RandomExtractor(), to_network(target[None], symbols=0)
        wanted, conditions = extractor.of_levels(tf.constant(levels)), tf.constant(codes)
        low, high = chi.ppf((_RARE_SHARE / 2, 1 - _RARE_SHARE / 2), first.shape[1]).astype(np.float32)

        def differences(latents: Any) -> Any:
            images = generator.model([latents, conditions] if len(codes) else latents, training=False)
            pixels = tf.reduce_mean((images - levels) ** 2, (1, 2, 3))
            return pixels, tf.reduce_mean((extractor.of_levels(images) - wanted) ** 2, 1)

        def step() -> None:
            with tf.GradientTape() as tape:
                distances = tf.add(*differences(self._latents.value))
            self._optimizer.apply(tape.gradient(distances, [self._latents.value]), [self._latents])
            lengths = tf.norm(self._latents.value, axis=1, keepdims=True)
            self._latents.assign(self._latents.value * (tf.clip_by_value(lengths, low, high) / lengths))

        self._differences = tf.function(differences, autograph=False)
        self._step = tf.function(step, autograph=False)

    def step(self, rate: float) -> None:
        """Does one step of Adam at the learning rate `rate`."""
        self._optimizer.learning_rate = rate
        self._step()

    def latents(self) -> NDArray[np.float32]:
        """Returns the latents, float32 [N, latent_size]."""
        found: NDArray[np.float32] = self._latents.numpy().copy()
        return found

    def differences(self, latents: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the mean squared differences of pixels and of features, each float32 [N], of N latents."""
        import tensorflow as tf

        pixels, features = self._differences(tf.constant(latents))
        return pixels.numpy(), features.numpy()


def _rate(progress: float) -> float:
    """Returns the learning rate at a share of the steps."""
    falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - progress) / _FALLING))
    return _HIGHEST_RATE * min(1.0, progress / _RISING) * falling

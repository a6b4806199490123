"""Generator and discriminator of texts made of one-dimensional residual blocks, as in the WGAN-GP language model.

A text is [length, 1, symbols]: a distribution over the symbols at each place, one-hot for a real text. All layers keep
the length. A residual block is x + 0.3 · (ReLU → convolution → ReLU → convolution)(x), and each of its convolutions
reads 5 places. The published networks have length 32, 128 latents, width 512 and depth 5.

Reference: Gulrajani et al. 2017, arXiv 1704.00028, section 5.5; the layers, their initial values and the factor 0.3 are
those of the authors' gan_language.py.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras

from gan_core.networks.conditioning import ProjectionDiscriminator, latents_and_labels, projection_layers

_PLACES = 5
_RESIDUAL_FACTOR = 0.3


def build_generator(
    shape: tuple[int, int, int],
    *,
    latent_size: int,
    width: int,
    depth: int,
    classes: int,
    seed: int,
    dtype: str = "float32",
) -> keras.Model:
    """Builds the map from latents [B, latent_size] float32 (and labels [B] int32) to texts [B, length, 1, symbols].

    Dense → Reshape → `depth` residual blocks → convolution over one place → softmax, float32. With `classes`, the
    label's embedding is appended to the latents.
    """
    layers = _Layers(seed, width, dtype)
    inputs, x = latents_and_labels(latent_size, classes, layers.seeds)
    x = keras.layers.Dense(shape[0] * width, kernel_initializer=layers.glorot(), dtype=dtype)(x)
    x = keras.layers.Reshape((shape[0], 1, width), dtype=dtype)(x)
    x = layers.convolution(layers.blocks(x, depth), shape[2], places=1)
    return keras.Model(inputs, keras.layers.Softmax(dtype="float32")(x), name="generator")


class Discriminator(ProjectionDiscriminator):
    """Convolution over one place → `depth` residual blocks → Flatten → dropout → Dense and class projection."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int,
        depth: int,
        classes: int,
        dropout: float,
        seed: int,
        dtype: str = "float32",
    ) -> None:
        layers = _Layers(seed, width, dtype)
        texts = keras.Input(shape)
        x = layers.blocks(layers.convolution(texts, width, places=1), depth)
        features = keras.Model(texts, keras.layers.Flatten(dtype=dtype)(x))
        last = projection_layers(features.output_shape[-1], classes, False, layers.seeds)
        super().__init__(features, *last, classes=classes, dropout=dropout)


class _Layers:
    """Makes the layers of one network. Each kernel has its own seed."""

    def __init__(self, seed: int, width: int, dtype: str) -> None:
        self.seeds = itertools.count(1000 * seed)
        self._width, self._dtype = width, dtype

    def glorot(self) -> Any:
        """Glorot and Bengio's uniform initialiser."""
        return keras.initializers.GlorotUniform(next(self.seeds))

    def convolution(self, x: Any, filters: int, places: int = _PLACES) -> Any:
        """Convolves x [B, length, 1, C] to [B, length, 1, filters]. The kernel has twice Glorot's variance."""
        kernel = keras.initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=next(self.seeds))
        layer = keras.layers.Conv2D(filters, (places, 1), padding="same", kernel_initializer=kernel, dtype=self._dtype)
        return layer(x)

    def blocks(self, x: Any, depth: int) -> Any:
        """Applies `depth` residual blocks."""
        for _ in range(depth):
            residual = x
            for _ in range(2):
                residual = keras.layers.ReLU(dtype=self._dtype)(residual)
                residual = self.convolution(residual, self._width)
            residual = keras.layers.Rescaling(_RESIDUAL_FACTOR, dtype=self._dtype)(residual)
            x = keras.layers.Add(dtype=self._dtype)([x, residual])
        return x

"""Residual generator and discriminator with pre-activation, as in SNGAN.

A block is (norm, ReLU, convolution) twice, plus a shortcut. The first block of each stage doubles the resolution in the
generator and halves it in the discriminator; `depth` − 1 blocks without resampling follow. The generator's last stage,
at the image's resolution, has `width` channels. So has the discriminator's first stage, which ends at 1/2 of that
resolution. The number doubles with every halving, up to `growth` · `width`. The published networks have depth 1. For 32
pixels their growth is 1 and their width 256 in the generator and 128 in the discriminator; for 128 pixels their width
is 64 and their growth 16.

Reference: Miyato et al. 2018, arXiv 1802.05957, appendix B.4, tables 4 and 5; Miyato and Koyama 2018, arXiv 1802.05637,
appendix.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

import keras

from gan_core.networks.conditioning import ProjectionDiscriminator, one_hot, projection_layers
from gan_core.networks.layers import BatchNormalization
from gan_core.networks.shapes import base, halvings, widths
from gan_core.networks.spectral import SpectralConv2D

_RESIDUAL_GAIN = math.sqrt(2)


def build_generator(
    shape: tuple[int, int, int],
    *,
    latent_size: int,
    width: int,
    growth: int,
    depth: int,
    classes: int,
    seed: int,
    synchronized: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Builds the map from latents [B, latent_size] float32 (and labels [B] int32) to images [B, H, W, C] in [−1, 1].

    Dense → Reshape → blocks → batch norm, ReLU, convolution → tanh. With `classes`, each class has its own shift and
    scale after each batch norm except the last. There is no bias before a batch norm, because it would have no effect.
    With `synchronized`, batch norm takes its statistics over all devices.
    """
    builder = _Builder(itertools.count(1000 * seed), spectral=False, use_bias=False, dtype=dtype)
    height_width, channels = base(shape), widths(halvings(shape), width, growth)
    inputs = latents = keras.Input((latent_size,), name="latents")
    classes_of_images = None
    if classes:
        labels = keras.Input((), dtype="int32", name="labels")
        inputs, classes_of_images = [latents, labels], one_hot(labels, classes)

    def normalized(x: Any, conditions: Any = classes_of_images) -> Any:
        options = {"synchronized": synchronized, "dtype": dtype}
        if conditions is None:
            x = BatchNormalization(scale=False, **options)(x)
        else:
            x = BatchNormalization(center=False, scale=False, **options)(x)
            scale, shift = (
                keras.layers.Dense(x.shape[-1], use_bias=False, kernel_initializer=start, dtype=dtype)(conditions)
                for start in ("ones", "zeros")
            )
            to_map = keras.layers.Reshape((1, 1, x.shape[-1]), dtype=dtype)
            x = keras.layers.Multiply(dtype=dtype)([x, to_map(scale)])
            x = keras.layers.Add(dtype=dtype)([x, to_map(shift)])
        return keras.layers.ReLU(dtype=dtype)(x)

    def block(x: Any, filters: int, doubling: bool) -> Any:
        up = keras.layers.UpSampling2D(dtype=dtype) if doubling else _same
        residual = builder.convolution(up(normalized(x)), filters, gain=_RESIDUAL_GAIN)
        residual = builder.convolution(normalized(residual), filters, gain=_RESIDUAL_GAIN)
        if doubling or x.shape[-1] != filters:
            # A 1×1 convolution has the same result before the doubling, but processes a quarter of the pixels.
            x = up(builder.convolution(x, filters, size=1))
        return keras.layers.Add(dtype=dtype)([x, residual])

    count = math.prod(height_width) * channels[-1]
    x = keras.layers.Dense(count, kernel_initializer=builder.kernel(), dtype=dtype)(latents)
    x = keras.layers.Reshape((*height_width, channels[-1]), dtype=dtype)(x)
    for filters in reversed(channels[:-1]):
        for index in range(depth):
            x = block(x, filters, doubling=index == 0)
    x = keras.layers.Conv2D(shape[2], 3, padding="same", kernel_initializer=builder.kernel(), dtype=dtype)(
        normalized(x, None)
    )
    return keras.Model(inputs, keras.layers.Activation("tanh", dtype="float32")(x), name="generator")


class Discriminator(ProjectionDiscriminator):
    """Blocks → ReLU → sum over the pixels → Dense and class projection.

    With depth 1, there is one block for each halving down to the base resolution, and one more. For images of 16 and 32
    pixels, the halvings end at 8×8, and the next block does not halve. C in `shape` [H, W, C] may be any number.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int,
        growth: int,
        depth: int,
        classes: int,
        dropout: float,
        normalization: Literal["spectral", "none"],
        seed: int,
        dtype: str = "float32",
    ) -> None:
        seeds = itertools.count(1000 * seed)
        builder = _Builder(seeds, spectral=normalization == "spectral", use_bias=True, dtype=dtype)
        smallest = 8 if min(shape[:2]) in (16, 32) else min(base(shape))

        def block(x: Any, filters: int, halving: bool, first: bool) -> Any:
            down = keras.layers.AveragePooling2D(2, dtype=dtype) if halving else _same
            activated = x if first else keras.layers.ReLU(dtype=dtype)(x)
            residual = builder.convolution(activated, filters if first else x.shape[-1], gain=_RESIDUAL_GAIN)
            residual = keras.layers.ReLU(dtype=dtype)(residual)
            residual = down(builder.convolution(residual, filters, gain=_RESIDUAL_GAIN))
            if halving or x.shape[-1] != filters:
                x = builder.convolution(down(x), filters, size=1)
            return keras.layers.Add(dtype=dtype)([x, residual])

        x = images = keras.Input(shape)
        for filters in [*(channels := widths(halvings(shape) - 1, width, growth)), channels[-1]]:
            for index in range(depth):
                x = block(x, filters, halving=index == 0 and min(x.shape[1:3]) > smallest, first=x is images)
        x = keras.layers.ReLU(dtype=dtype)(x)
        features = keras.Model(images, keras.ops.sum(x, axis=(1, 2)))
        layers = projection_layers(features.output_shape[-1], classes, normalization == "spectral", seeds)
        super().__init__(features, *layers, classes=classes, dropout=dropout)


class _Builder:
    """Makes the convolutions of one network. Each kernel has its own seed."""

    def __init__(self, seeds: Iterator[int], *, spectral: bool, use_bias: bool, dtype: str) -> None:
        self._seeds, self._spectral = seeds, spectral
        self._options = {"use_bias": use_bias, "dtype": dtype}

    def kernel(self, gain: float = 1.0) -> Any:
        """Glorot and Bengio's uniform initialiser with its standard deviation multiplied by `gain`."""
        return keras.initializers.VarianceScaling(gain**2, "fan_avg", "uniform", seed=next(self._seeds))

    def convolution(self, x: Any, filters: int, *, size: int = 3, gain: float = 1.0) -> Any:
        """Convolves x [B, H, W, C] to [B, H, W, filters]."""
        options = {"kernel_initializer": self.kernel(gain), **self._options}
        if self._spectral:
            return SpectralConv2D(filters, size, vector_seed=next(self._seeds), **options)(x)
        return keras.layers.Conv2D(filters, size, padding="same", **options)(x)


def _same(x: Any) -> Any:
    return x

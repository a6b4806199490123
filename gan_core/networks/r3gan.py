"""Residual generator and discriminator without normalisation, as in R3GAN (config E).

Each resolution has a transition (bilinear resampling, and a 1×1 convolution if the number of channels changes) and
`depth` residual blocks. The image's resolution has `width` channels. The number doubles with every halving, up to
`growth` · `width`. The published networks have depth 2 and 64 latents. Their width and growth are 96 and 8 for FFHQ at
256 pixels, 384 and 2 for FFHQ at 64, 768 and 1 for CIFAR-10.

Reference: Huang et al. 2025, arXiv 2501.05441, section 3, appendix D, table 9.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import tensorflow as tf

from gan_core.networks.conditioning import ProjectionDiscriminator, latents_and_labels
from gan_core.networks.grouped import GroupedConv2D
from gan_core.networks.shapes import base, halvings, widths

_EXPANSION = 2
_GROUP_SIZE = 16
_SLOPE = 0.2


def build_generator(
    shape: tuple[int, int, int],
    *,
    latent_size: int,
    width: int,
    growth: int,
    depth: int,
    classes: int,
    seed: int,
    dtype: str = "float32",
) -> keras.Model:
    """Builds the map from latents [B, latent_size] float32 (and labels [B] int32) to images [B, H, W, C] float32.

    Basis (learned maps, each multiplied by a linear function of the latents) → blocks, transition, blocks, … → 1×1
    convolution. There is no tanh, so the images are not limited to [−1, 1]. With `classes`, the label's embedding is
    appended to the latents.
    """
    channels = list(reversed(widths(halvings(shape), width, growth)))
    make = _Layers(seed, blocks=depth * len(channels), dtype=dtype)
    inputs, x = latents_and_labels(latent_size, classes, make.seeds)
    x = keras.layers.Dense(channels[0], use_bias=False, kernel_initializer=make.kernel(1.0), dtype=dtype)(x)
    x = keras.layers.EinsumDense(
        "bc,hwc->bhwc", (*base(shape), channels[0]), kernel_initializer=make.map_kernel(1.0), dtype=dtype
    )(x)
    for index, filters in enumerate(channels):
        if index > 0:
            # The 1×1 convolution has the same result before the doubling, but processes a quarter of the pixels.
            x = make.widened(x, filters)
            x = keras.layers.UpSampling2D(interpolation="bilinear", dtype=dtype)(x)
        x = make.blocks(x, depth)
    x = keras.layers.Activation("linear", dtype="float32")(make.pointwise(x, shape[2], 1.0))
    return keras.Model(inputs, x, name="generator")


class Discriminator(ProjectionDiscriminator):
    """1×1 convolution → blocks, transition, blocks, … → a weighted sum over the pixels of each channel → linear.

    With `classes`, the last layer has as many outputs as inputs, and the logit is the inner product of its output and
    the class's embedding. C in `shape` [H, W, C] may be any number.
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
        seed: int,
        dtype: str = "float32",
    ) -> None:
        channels = widths(halvings(shape), width, growth)
        make = _Layers(seed, blocks=depth * len(channels), dtype=dtype)
        images = keras.Input(shape)
        x = make.pointwise(images, channels[0], 1.0)
        for index, filters in enumerate(channels):
            if index > 0:
                x = make.widened(_BilinearHalving(dtype=dtype)(x), filters)
            x = make.blocks(x, depth)
        features = channels[-1]
        x = keras.layers.EinsumDense(
            "bhwc,hwc->bc",
            features,
            kernel_initializer=make.map_kernel(1 / math.sqrt(math.prod(base(shape)))),
            dtype="float32",
        )(x)
        linear = keras.layers.Dense(
            features if classes else 1, use_bias=False, kernel_initializer=make.kernel(1.0), dtype="float32"
        )
        embedding = None
        if classes:
            x, linear = linear(x), None
            embedding = keras.layers.Dense(
                features, use_bias=False, kernel_initializer=make.map_kernel(features**-0.5), dtype="float32"
            )
        super().__init__(keras.Model(images, x), linear, embedding, classes=classes, dropout=dropout)


class _Layers:
    """Makes the layers of one network with `blocks` residual blocks. Each kernel has its own seed."""

    def __init__(self, seed: int, *, blocks: int, dtype: str) -> None:
        self.seeds = itertools.count(1000 * seed)
        self._scale = 2 / (1 + _SLOPE**2) * blocks**-0.5
        self._dtype = dtype

    def kernel(self, scale: float) -> Any:
        """Normal random weights of variance scale / fan-in, which multiply the inputs' variance by `scale`."""
        return keras.initializers.VarianceScaling(scale, "fan_in", "untruncated_normal", seed=next(self.seeds))

    def map_kernel(self, deviation: float) -> Any:
        """Normal random weights with this standard deviation."""
        return keras.initializers.RandomNormal(stddev=deviation, seed=next(self.seeds))

    def pointwise(self, x: Any, filters: int, scale: float, use_bias: bool = False) -> Any:
        """A 1×1 convolution."""
        start = self.kernel(scale) if scale else "zeros"
        return keras.layers.Conv2D(filters, 1, use_bias=use_bias, kernel_initializer=start, dtype=self._dtype)(x)

    def widened(self, x: Any, filters: int) -> Any:
        """A 1×1 convolution if the number of channels changes, otherwise `x`."""
        return x if x.shape[-1] == filters else self.pointwise(x, filters, 1.0)

    def blocks(self, x: Any, depth: int) -> Any:
        """`depth` times x + (1×1 → leaky ReLU → grouped 3×3 → leaky ReLU → 1×1)(x), with twice the channels inside.

        The initialisation keeps the variance without normalisation. The last convolution starts at 0, so a block starts
        as the identity. The standard deviation of the others is that of He et al. (2015, arXiv 1502.01852, equation 14)
        times blocks^(−1/4), so the first update of the weights moves the output of a deep network by as much as that of
        a shallow one (Zhang et al. 2019, arXiv 1901.09321).
        """
        channels = _EXPANSION * x.shape[-1]
        for _ in range(depth):
            residual = self.pointwise(x, channels, self._scale, use_bias=True)
            residual = keras.layers.LeakyReLU(_SLOPE, dtype=self._dtype)(residual)
            group_size = math.gcd(channels, _GROUP_SIZE)
            residual = GroupedConv2D(group_size, self.kernel(self._scale), dtype=self._dtype)(residual)
            residual = keras.layers.LeakyReLU(_SLOPE, dtype=self._dtype)(residual)
            x = keras.layers.Add(dtype=self._dtype)([x, self.pointwise(residual, x.shape[-1], 0.0)])
        return x


class _BilinearHalving(keras.layers.Layer):  # type: ignore[misc]
    """Halves [B, H, W, C] with the weights 1, 3, 3, 1 of bilinear interpolation in each direction.

    The weights come from three averages of neighbours: unlike TensorFlow's resizing, they have second derivatives.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        for stride in (1, 1, 2):
            x = tf.nn.avg_pool2d(x, 2, stride, "VALID")
        return x

"""Generator and discriminator made of strided convolutions, as in DCGAN.

The generator doubles the resolution from 4×4 (7×7 for 28 pixels, 4×16 for 64×256) with transposed convolutions; the
discriminator halves it back. Kernels are 4×4 with stride 2: the stride divides the kernel's size, so all output pixels
receive the same number of contributions and no checkerboard pattern appears. A layer at 1/2 of the image's resolution
has `width` channels. The number doubles with every further halving, up to `growth` · `width`. Each of these resolutions
has `depth` − 1 more layers, with 3×3 kernels and stride 1.

References: Radford et al. 2016, arXiv 1511.06434, section 3; Miyato et al. 2018, arXiv 1802.05957, table 3 (the 3×3
layers); Odena et al. 2016, "Deconvolution and checkerboard artifacts" (kernel and stride).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import keras

from gan_core.networks.conditioning import ProjectionDiscriminator, one_hot, projection_layers
from gan_core.networks.layers import BatchNormalization, FromImageConv2D, ToImageConv2DTranspose
from gan_core.networks.shapes import base, halvings, widths
from gan_core.networks.spectral import SpectralConv2D


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

    Dense → Reshape → (batch norm, ReLU, `depth` − 1 times (convolution, batch norm, ReLU), transposed convolution) for
    each doubling → tanh. There is no bias before a batch norm and no scale between it and the next linear layer,
    because they would have no effect. With `synchronized`, batch norm takes its statistics over all devices.

    With `classes`, a learned map of the image's class is added after the first batch norm. Its initial variance is 1,
    like that of the batch norm's output. Labels do not pass the dense layer together with the latents: the labels would
    come to outweigh the latents, and all images of a class would become identical.
    """
    channels = widths(halvings(shape) - 1, width, growth)
    height_width = base(shape)
    seeds = itertools.count(1000 * seed)
    inputs = latents = keras.Input((latent_size,), name="latents")

    def smallest_map(x: Any, kernel: Any) -> Any:
        count = math.prod(height_width) * channels[-1]
        x = keras.layers.Dense(count, use_bias=False, kernel_initializer=kernel, dtype=dtype)(x)
        return keras.layers.Reshape((*height_width, channels[-1]), dtype=dtype)(x)

    x = smallest_map(latents, keras.initializers.GlorotUniform(next(seeds)))
    for index, filters in enumerate([*reversed(channels[:-1]), shape[2]]):
        x = BatchNormalization(scale=False, synchronized=synchronized, dtype=dtype)(x)
        if classes and index == 0:
            labels = keras.Input((), dtype="int32", name="labels")
            inputs = [latents, labels]
            class_map = smallest_map(
                one_hot(labels, classes), keras.initializers.RandomNormal(stddev=1.0, seed=next(seeds))
            )
            x = keras.layers.Add(dtype=dtype)([x, class_map])
        x = keras.layers.ReLU(dtype=dtype)(x)
        for _ in range(depth - 1):
            kernel = keras.initializers.GlorotUniform(next(seeds))
            convolution = keras.layers.Conv2D(
                x.shape[-1], 3, padding="same", use_bias=False, kernel_initializer=kernel, dtype=dtype
            )
            x = BatchNormalization(scale=False, synchronized=synchronized, dtype=dtype)(convolution(x))
            x = keras.layers.ReLU(dtype=dtype)(x)
        last = index == len(channels) - 1
        kind = ToImageConv2DTranspose if last else keras.layers.Conv2DTranspose
        x = kind(
            filters,
            4,
            2,
            padding="same",
            use_bias=last,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            dtype=dtype,
        )(x)
    return keras.Model(inputs, keras.layers.Activation("tanh", dtype="float32")(x), name="generator")


class Discriminator(ProjectionDiscriminator):
    """`depth` times (convolution, norm, leaky ReLU) for each halving → Flatten → dropout → Dense and class projection.

    The first of the `depth` convolutions halves the resolution. The network's first convolution has no batch norm;
    spectral norm is on every layer. C in `shape` [H, W, C] may be any number.
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
        normalization: Literal["batch", "spectral", "none"],
        seed: int,
        synchronized: bool = False,
        dtype: str = "float32",
    ) -> None:
        seeds = itertools.count(1000 * seed)
        x = images = keras.Input(shape)
        layers = itertools.product(widths(halvings(shape) - 1, width, growth), range(depth))
        for index, (filters, of_resolution) in enumerate(layers):
            size, stride = (3, 1) if of_resolution else (4, 2)
            batch_normalized = normalization == "batch" and index > 0
            options = {"kernel_initializer": keras.initializers.GlorotUniform(next(seeds)), "dtype": dtype}
            if normalization == "spectral":
                x = SpectralConv2D(filters, size, stride, vector_seed=next(seeds), **options)(x)
            else:
                kind = keras.layers.Conv2D if index > 0 else FromImageConv2D
                x = kind(filters, size, stride, padding="same", use_bias=not batch_normalized, **options)(x)
            if batch_normalized:
                x = BatchNormalization(scale=False, synchronized=synchronized, dtype=dtype)(x)
            x = keras.layers.LeakyReLU(0.2, dtype=dtype)(x)
        features = keras.Model(images, keras.layers.Flatten(dtype=dtype)(x))
        last = projection_layers(features.output_shape[-1], classes, normalization == "spectral", seeds)
        super().__init__(features, *last, classes=classes, dropout=dropout)

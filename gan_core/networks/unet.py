"""Image-to-image generator: encoder and decoder with skip connections.

The encoder halves the resolution down to 4×4 (7×7 for 28 pixels, 4×16 for 64×256), and the decoder doubles it back.
Each layer of the decoder also reads the encoder's output of the same resolution. A layer at 1/2 of the image's
resolution has `width` channels. The number doubles with every further halving, up to `growth` · `width`. The
discriminator is that of dcgan.py; it reads the image concatenated with the input.

Reference: Isola et al. 2017, arXiv 1611.07004, section 3.2 and appendix 6.1.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras

from gan_core.networks.layers import BatchNormalization, FromImageConv2D, ToImageConv2DTranspose
from gan_core.networks.shapes import base, halvings, widths


def build_generator(
    shape: tuple[int, int, int],
    *,
    latent_size: int,
    width: int,
    growth: int,
    seed: int,
    synchronized: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Builds the map from latents [B, latent_size] and inputs [B, H, W, C] to images [B, H, W, C], all float32.

    Inputs and images are in [−1, 1]. The encoder has (4×4 convolution, batch norm except in the first layer, leaky
    ReLU) for each halving. The latents are appended to every pixel of the smallest map. The decoder has (4×4 transposed
    convolution, batch norm, ReLU) for each doubling except the last, which ends in tanh. With `synchronized`, batch
    norm takes its statistics over all devices.
    """
    channels = widths(halvings(shape) - 1, width, growth)
    seeds = itertools.count(1000 * seed)

    def options(bias: bool) -> dict[str, Any]:
        kernel = keras.initializers.GlorotUniform(next(seeds))
        return {"strides": 2, "padding": "same", "use_bias": bias, "kernel_initializer": kernel, "dtype": dtype}

    def normalized(x: Any) -> Any:
        return BatchNormalization(scale=False, synchronized=synchronized, dtype=dtype)(x)

    latents = keras.Input((latent_size,), name="latents")
    x = inputs = keras.Input(shape, name="inputs")
    encoded = []
    for index, filters in enumerate(channels):
        kind = keras.layers.Conv2D if index > 0 else FromImageConv2D
        x = kind(filters, 4, **options(bias=index == 0))(x)
        x = keras.layers.LeakyReLU(0.2, dtype=dtype)(normalized(x) if index > 0 else x)
        encoded.append(x)
    skip = keras.layers.UpSampling2D(base(shape), dtype=dtype)(
        keras.layers.Reshape((1, 1, latent_size), dtype=dtype)(latents)
    )
    for filters, following in zip(reversed(channels[:-1]), reversed(encoded[:-1]), strict=True):
        x = keras.layers.Concatenate(dtype=dtype)([x, skip])
        x = keras.layers.Conv2DTranspose(filters, 4, **options(bias=False))(x)
        x = keras.layers.ReLU(dtype=dtype)(normalized(x))
        skip = following
    x = ToImageConv2DTranspose(shape[2], 4, **options(bias=True))(keras.layers.Concatenate(dtype=dtype)([x, skip]))
    return keras.Model([latents, inputs], keras.layers.Activation("tanh", dtype="float32")(x), name="generator")

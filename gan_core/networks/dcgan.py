"""Generator and discriminator of strided convolutions, after DCGAN.

The generator doubles the resolution from 4×4 (7×7 for 28 pixels) with transposed convolutions, the discriminator
halves it back. Kernels are 4×4 with stride 2, so that every output pixel is made by the same number of kernel cells
and no checkerboard appears. A network's layer at 1/2 of the image's resolution has `width` channels; the number
doubles with every further halving, up to 8 · `width`.

Reference: Radford et al. 2016, arXiv 1511.06434, section 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

LARGEST_GROWTH = 8


def build_generator(
    shape: tuple[int, int, int], latent_size: int, width: int, seed: int, dtype: str = "float32"
) -> keras.Model:
    """Builds latents [B, latent_size] float32 → images [B, H, W, C] float32 in [−1, 1].

    Dense → Reshape → (batch norm, ReLU, transposed convolution) for each doubling → tanh. A bias before a batch norm
    and a scale between it and the next linear layer would change nothing, so neither is there.
    """
    widths = _widths(shape[0], width)
    base = shape[0] >> len(widths)
    kernels = _initializers(seed)
    layers: list[Any] = [
        keras.Input((latent_size,)),
        keras.layers.Dense(base * base * widths[-1], use_bias=False, kernel_initializer=next(kernels), dtype=dtype),
        keras.layers.Reshape((base, base, widths[-1]), dtype=dtype),
    ]
    for channels in [*reversed(widths[:-1]), shape[2]]:
        layers += [
            keras.layers.BatchNormalization(scale=False, dtype=dtype),
            keras.layers.ReLU(dtype=dtype),
            keras.layers.Conv2DTranspose(
                channels,
                4,
                2,
                padding="same",
                use_bias=len(layers) > 3 * len(widths) - 1,
                kernel_initializer=next(kernels),
                dtype=dtype,
            ),
        ]
    layers.append(keras.layers.Activation("tanh", dtype="float32"))
    return keras.Sequential(layers, name="generator")


class Discriminator:
    """Images [B, H, W, C] in [−1, 1] → logits [B] float32, positive for real.

    (Convolution, batch norm but for the first, leaky ReLU) for each halving → Flatten → dropout → Dense. Always in
    training mode: nothing asks a discriminator for inference. Dropout takes its seed as an argument, because Keras's
    own layer keeps hidden random state, which a checkpoint would have to restore.

    Attributes:
        weights: all variables, the statistics of batch norm included; trainable_variables: those that learn.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, dropout: float, seed: int, dtype: str = "float32"):
        kernels = _initializers(seed)
        layers: list[Any] = [keras.Input(shape)]
        for index, channels in enumerate(_widths(shape[0], width)):
            layers.append(
                keras.layers.Conv2D(
                    channels,
                    4,
                    2,
                    padding="same",
                    use_bias=index == 0,
                    kernel_initializer=next(kernels),
                    dtype=dtype,
                )
            )
            if index > 0:
                layers.append(keras.layers.BatchNormalization(scale=False, dtype=dtype))
            layers.append(keras.layers.LeakyReLU(0.2, dtype=dtype))
        layers.append(keras.layers.Flatten(dtype=dtype))
        self._features = keras.Sequential(layers, name="discriminator_features")
        self._logit = keras.layers.Dense(1, kernel_initializer=next(kernels), dtype="float32")
        self._logit.build(self._features.output_shape)
        self._dropout = dropout
        self.weights = self._features.weights + self._logit.weights
        self.trainable_variables = self._features.trainable_variables + self._logit.trainable_variables

    def __call__(self, images: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        """The logits of `images`; `dropout_seed` [2] integer decides which features are dropped."""
        features = tf.cast(self._features(images, training=True), tf.float32)
        if self._dropout > 0:
            features = tf.nn.experimental.stateless_dropout(features, self._dropout, dropout_seed, rng_alg="philox")
        return tf.squeeze(self._logit(features), axis=1)


def _widths(resolution: int, width: int) -> list[int]:
    """Channels at 1/2, 1/4, … of `resolution`, down to 7 or 4 pixels."""
    halvings = (resolution // (7 if resolution == 28 else 4)).bit_length() - 1
    return [width * min(2**halving, LARGEST_GROWTH) for halving in range(halvings)]


def _initializers(seed: int) -> Iterator[Any]:
    """Keras's default initialiser of kernels, a different draw for each layer and `seed`."""
    for layer in itertools.count():
        yield keras.initializers.GlorotUniform(seed=1000 * seed + layer)

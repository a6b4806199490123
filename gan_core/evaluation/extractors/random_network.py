"""The extractor `random`: a convolutional network with random weights that are never trained.

It needs neither labels nor a download. Distances between its features reflect shapes, edges and variety, but not what
the images show, so it ranks generators more coarsely than a trained network.

Reference: Naeem et al. 2020, arXiv 2002.09797, section 4.1 (random embeddings); Ulyanov et al. 2018, arXiv 1711.10925
(untrained convolutional networks as image priors).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 64
WIDTHS = (32, 64, 128, 256)
FEATURES = 128
SEED = 0


class RandomExtractor:
    """Features of images of any size, resized to 64 pixels with antialiasing; grey is repeated to three channels.

    The network is four 3×3 convolutions at stride 2 with ReLU and 32 to 256 channels, then a linear map of the 4×4
    cells to 128 numbers. The weights of the convolutions are drawn from N(0, 2 / inputs) and those of the linear map
    from N(0, 1 / inputs), with a counter-based generator.

    Attributes:
        name, size, resize, accuracy: as in `Extractor`.
        digest: `sha256-<hex>` of the weights.
    """

    name = "random"
    size = FEATURES
    resize = f"antialiased_{SIDE}"
    accuracy = None

    def __init__(self) -> None:
        import tensorflow as tf

        weights = _draw_weights()
        content = hashlib.sha256()
        for weight in weights:
            content.update(str(weight.shape).encode() + weight.tobytes())
        self.digest = f"sha256-{content.hexdigest()}"
        *kernels, projection = (tf.constant(weight) for weight in weights)

        def resized(channel: Any) -> Any:
            return tf.image.resize(tf.cast(channel, tf.float32) / 127.5 - 1.0, (SIDE, SIDE), antialias=True)

        def features(x: Any) -> Any:
            for kernel in kernels:
                x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))
            return tf.reshape(x, (-1, projection.shape[0])) @ projection

        self._resized = tf.function(resized, input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8)])
        self._features = tf.function(features, input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)])

    def of_levels(self, levels: Any) -> Any:
        """Returns the features of a tensor of levels u / 127.5 − 1, float32 [B, H, W, C]; gradients pass through it."""
        import tensorflow as tf

        resized = tf.image.resize(levels, (SIDE, SIDE), antialias=True)
        return self._features(tf.repeat(resized, 3 // levels.shape[-1], axis=-1))

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, 128] of uint8 images [B, H, W, C], with C = 1 grey or 3 RGB."""
        # One channel at a time, because float32 needs four times the memory of uint8.
        channels = [self._resized(images[..., channel : channel + 1]) for channel in range(images.shape[-1])]
        found: NDArray[np.float32] = self._features(np.concatenate(channels * (3 // len(channels)), axis=-1)).numpy()
        return found


def _draw_weights() -> list[NDArray[np.float32]]:
    """Draws the kernels [3, 3, inputs, outputs] and the linear map [inputs, outputs]."""
    generator = np.random.Generator(np.random.Philox(key=SEED))
    weights = []
    inputs = 3
    for width in WIDTHS:
        kernel = generator.standard_normal((3, 3, inputs, width), dtype=np.float32)
        weights.append(kernel * np.float32(np.sqrt(2 / (9 * inputs))))
        inputs = width
    inputs *= (SIDE >> len(WIDTHS)) ** 2
    projection = generator.standard_normal((inputs, FEATURES), dtype=np.float32)
    return [*weights, projection * np.float32(np.sqrt(1 / inputs))]

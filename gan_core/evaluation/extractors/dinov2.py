"""Features of the DINOv2 network ViT-L/14. Their Fréchet distance is FD-DINOv2.

Reference: Stein et al. 2023, arXiv 2306.04675.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.dinov2_network import LARGE, SIDE, Size, build_network, load_tensors
from gan_core.evaluation.extractors.weights import DINOV2, Weights

IMAGES_AT_ONCE = 16  # 16 images use a CPU fully; the activations of more images take gigabytes
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class Dinov2Extractor:
    """The network's features: the class token after the last normalisation.

    Attributes:
        name: part of the scores' names: `dinov2`, or `dinov2_unverified` if the weight file is not the published one.
        digest: `sha256-<hex>` of the weight file.
        size, accuracy: as in `Extractor`.
        resize: name of the method that brings images to the network's resolution, that of the authors' program.

    Args:
        weights: the weights.
        network: the network's size; tests use a small one.

    Raises:
        InvalidInput: the weights are not those of this network.
    """

    resize = f"pillow_bicubic_{SIDE}"
    accuracy = None

    def __init__(self, weights: Weights, network: Size = LARGE) -> None:
        import tensorflow as tf

        self.digest = weights.digest
        self.name = weights.name("dinov2", DINOV2)
        self.size = network.width
        model = build_network(network)
        load_tensors(model, weights.tensors, network)
        self._network = tf.function(model, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, 1024] of uint8 images [B, H, W, C], with C = 1 grey or 3 RGB."""
        parts = [images[start : start + IMAGES_AT_ONCE] for start in range(0, len(images), IMAGES_AT_ONCE)]
        return np.concatenate([self._network(resized(part)).numpy() for part in parts])


def resized(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resizes and scales images as the authors' program does.

    Pillow's bicubic filter resizes them to whole grey levels u, whatever their proportions. With the mean μ and the
    deviation σ of ImageNet's channels, u becomes (u / 255 − μ) / σ.

    Args:
        images: [B, H, W, C], C = 1 grey or 3 RGB.

    Returns:
        float32 [B, 224, 224, 3].
    """
    from PIL import Image

    levels = np.empty((len(images), SIDE, SIDE, images.shape[-1]), np.uint8)
    for image, target in zip(images, levels, strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        target[...] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).reshape(target.shape)
    unit = levels.astype(np.float32) / np.float32(255)
    return np.asarray((unit - _MEAN) / _DEVIATION, np.float32)

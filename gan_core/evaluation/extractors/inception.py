"""Features of the 2015-12-05 Inception network. Only the Fréchet distance of these features is called FID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.inception_network import FEATURES, build_network, load_tensors
from gan_core.evaluation.extractors.resize import SIDE, ResizeMode, resize
from gan_core.evaluation.extractors.weights import INCEPTION, Weights

IMAGES_AT_ONCE = 32  # 32 images use a CPU fully; the activations of more images take gigabytes


class InceptionExtractor:
    """The network's features: the spatial mean of its last block.

    Attributes:
        name: part of the scores' names: `inception`, or `inception_unverified` if the weight file is not the published
            one, in which case no score is called FID.
        digest: `sha256-<hex>` of the weight file.
        size: length of a feature vector.
        resize: the method that brings images to the network's resolution.
        accuracy: None, because its classes are not those of the data.

    Raises:
        InvalidInput: the weights are not those of this network.
    """

    size = FEATURES
    accuracy = None

    def __init__(self, weights: Weights, mode: ResizeMode) -> None:
        import tensorflow as tf

        self.digest = weights.digest
        self.name = weights.name("inception", INCEPTION)
        self.resize = mode
        network = build_network()
        load_tensors(network, weights.tensors)
        self._classes = weights.tensors["fc.weight"].T
        signature = [tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)]
        self._network = tf.function(network, input_signature=signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, 2048] of uint8 images [B, H, W, C], with C = 1 grey or 3 RGB."""
        parts = [images[start : start + IMAGES_AT_ONCE] for start in range(0, len(images), IMAGES_AT_ONCE)]
        return np.concatenate([self._network(resize(part, self.resize)).numpy() for part in parts])

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns class probabilities float32 [B, 1008] from features [B, 2048].

        The last layer's bias is left out, as in the code of the Inception score's authors.
        """
        logits = features @ self._classes
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

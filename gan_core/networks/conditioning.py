"""Class conditioning: one-hot labels, an embedding next to the latents, and a projection discriminator.

An embedding is a dense layer on one-hot labels. The gradient of a table look-up may differ from run to run on a GPU.
The gradient of a dense layer is a matrix product, which has the same bits on every run and is summed over devices like
any other gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from gan_core.networks.spectral import SpectralDense


def latents_and_labels(latent_size: int, classes: int, seeds: Iterator[int]) -> tuple[Any, Any]:
    """Returns a generator's Keras inputs, and its first layer's input: z, or z with the label's embedding appended.

    Inputs: latents [B, latent_size] float32; with `classes` > 0 also labels [B] int32. The embedding has `latent_size`
        numbers, initialised with variance 1 like the latents.

    Reference: Karras et al. 2020, arXiv 2006.06676, section 4 (the concatenation); Huang et al. 2025, arXiv 2501.05441,
    appendix D.
    """
    latents = keras.Input((latent_size,), name="latents")
    if not classes:
        return latents, latents
    labels = keras.Input((), dtype="int32", name="labels")
    embedding = keras.layers.Dense(
        latent_size,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=next(seeds)),
        dtype="float32",
    )(one_hot(labels, classes))
    return [latents, labels], keras.layers.Concatenate(dtype="float32")([latents, embedding])


def one_hot(labels: Any, classes: int) -> Any:
    """Encodes labels [B] int32 as one-hot vectors [B, classes] float32."""
    return keras.layers.CategoryEncoding(classes, output_mode="one_hot", dtype="float32")(labels)


def projection_layers(features: int, classes: int, spectral: bool, seeds: Iterator[int]) -> tuple[Any, Any]:
    """Returns a discriminator's layers ψ [features → 1] and V [classes → features]; V is None without classes."""
    linear = _dense(1, spectral, True, seeds)
    return linear, _dense(features, spectral, False, seeds) if classes else None


def _dense(count: int, spectral: bool, use_bias: bool, seeds: Iterator[int]) -> Any:
    kernel = keras.initializers.GlorotUniform(next(seeds))
    if spectral:
        return SpectralDense(count, kernel_initializer=kernel, vector_seed=next(seeds), use_bias=use_bias)
    return keras.layers.Dense(count, kernel_initializer=kernel, use_bias=use_bias, dtype="float32")


class ProjectionDiscriminator:
    """Maps images [B, H, W, C] in [−1, 1] to logits [B] float32, positive for real: ψ(φ(x)) + ⟨V[y], φ(x)⟩.

    It always runs in training mode, because a discriminator is never used for inference.

    Reference: Miyato and Koyama 2018, arXiv 1802.05637, equation 3.

    Attributes:
        weights: all variables, including those that no gradient changes.
        trainable_variables: the variables that gradients change.
        dropout_features: length of one image's dropout mask; 0 without dropout.
    """

    def __init__(self, features: Any, linear: Any, embedding: Any, *, classes: int, dropout: float) -> None:
        """Combines the Keras model φ, the layer ψ and the layer V, which reads one-hot labels; ψ or V may be None."""
        count = features.output_shape[-1]
        layers = [features]
        for layer, size in ((linear, count), (embedding, classes)):
            if layer is not None:
                layer.build((None, size))
                layers.append(layer)
        self._features, self._linear, self._embedding = features, linear, embedding
        self._classes = classes
        self.weights = [variable for layer in layers for variable in layer.weights]
        self.trainable_variables = [variable for layer in layers for variable in layer.trainable_variables]
        self.dropout_features = count if dropout > 0 else 0

    def __call__(self, images: tf.Tensor, labels: tf.Tensor | None, mask: tf.Tensor | None) -> tf.Tensor:
        """Returns the logits [B] of `images`; `labels` [B] int32 are their classes, or None without classes.

        φ(x) is multiplied by `mask` [B, dropout_features] float32, which is 0 where a feature is dropped and otherwise
        1 / (1 − dropout); None drops nothing. The mask is an argument because a dropout layer keeps hidden random
        state, which a checkpoint would have to restore.
        """
        return self._logits(self._features(images, training=True), labels, mask)

    def _logits(self, features: tf.Tensor, labels: tf.Tensor | None, mask: tf.Tensor | None) -> tf.Tensor:
        features = tf.cast(features, tf.float32)
        if mask is not None:
            features *= mask
        logits = tf.zeros(()) if self._linear is None else tf.squeeze(self._linear(features, training=True), axis=1)
        if self._embedding is None:
            return logits
        # Computes ⟨V[y], φ(x)⟩ for every class and selects the label's: a small matrix product is faster than gathering
        # V[y].
        embeddings = self._embedding(tf.eye(self._classes), training=True)
        products = tf.matmul(features, embeddings, transpose_b=True)
        return logits + tf.reduce_sum(products * tf.one_hot(labels, self._classes), axis=1)

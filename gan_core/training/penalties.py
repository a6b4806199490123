"""Penalties on the discriminator's gradient: pure functions of a network and images, which can be differentiated.

`logits_of` is the network as a function of its images alone (labels and dropout masks fixed). Each image's logit must
depend on that image alone, so the network must not have batch norm.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Logits = Callable[[tf.Tensor], tf.Tensor]


def zero_centered(logits_of: Logits, images: tf.Tensor, weight: float = 1.0) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the logits of `images` [B, H, W, C] and weight · E‖∇ₓ logit(x)‖²: R1 on real, R2 on generated images.

    The logits are returned because the loss needs them too. If `weight` is 0, no gradient is computed.

    Reference: Mescheder et al. 2018, arXiv 1801.04406, equation 9, where the weight is γ/2.
    """
    if not weight:
        return logits_of(images), tf.constant(0.0)
    logits, gradients = _slopes(logits_of, images)
    return logits, weight * tf.reduce_mean(_squared_norms(gradients))


def gradient_penalty(
    logits_of: Logits, real_images: tf.Tensor, fake_images: tf.Tensor, shares: tf.Tensor, weight: float = 1.0
) -> tf.Tensor:
    """Returns weight · E(‖∇ logit(x̂)‖ − 1)² at x̂ = ε·x + (1 − ε)·G(z), with ε in [0, 1) from `shares` [B, 1, 1, 1].

    If `weight` is 0, no gradient is computed.

    Reference: Gulrajani et al. 2017, arXiv 1704.00028, equation 3, where the weight is λ.
    """
    if not weight:
        return tf.constant(0.0)
    _, gradients = _slopes(logits_of, shares * real_images + (1.0 - shares) * fake_images)
    squares = _squared_norms(gradients)
    # sqrt has no finite gradient at 0, so sqrt(1) is computed there and replaced by 0.
    flat = squares == 0.0
    norms = tf.where(flat, 0.0, tf.sqrt(tf.where(flat, 1.0, squares)))
    return weight * tf.reduce_mean(tf.square(norms - 1.0))


def _slopes(logits_of: Logits, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = logits_of(images)
    return logits, tape.gradient(logits, images)


def _squared_norms(gradients: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3])

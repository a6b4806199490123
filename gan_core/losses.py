"""Adversarial losses and reconstruction terms: pure functions of logits and images.

σ is the sigmoid, D(x) = σ(logit); −log σ(t) = softplus(−t), which neither overflows nor loses the gradient.
"""

from __future__ import annotations

import tensorflow as tf


def discriminator_cross_entropy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_D = −E[log D(x)] − E[log(1 − D(G(z)))], from logits [B] of real and generated images.

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, equation 1.
    """
    return tf.reduce_mean(tf.math.softplus(-real_logits)) + tf.reduce_mean(tf.math.softplus(fake_logits))


def minimax_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = E[log(1 − D(G(z)))], from logits [B] of generated images: what the discriminator maximises.

    Its gradient vanishes where the discriminator is sure.

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, equation 1.
    """
    return -tf.reduce_mean(tf.math.softplus(fake_logits))


def non_saturating_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = −E[log D(G(z))], from logits [B] of generated images.

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, section 3.
    """
    return tf.reduce_mean(tf.math.softplus(-fake_logits))


def l1_reconstruction(images: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """E|x − G(z)|, the mean over all numbers of `images` and `generated` [B, H, W, C]."""
    return tf.reduce_mean(tf.abs(images - generated))


def l2_reconstruction(images: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """E(x − G(z))², the mean over all numbers of `images` and `generated` [B, H, W, C]."""
    return tf.reduce_mean(tf.square(images - generated))

"""Adversarial losses and reconstruction terms: pure functions of logits and images.

Each adversarial loss is a scalar float32, a mean over the logits of real and of generated images. Both have the same
shape: [B], or a map of patches. In the formulas, r and f are the logits of real and generated images, σ is the sigmoid,
and D(x) = σ(logit). −log σ(t) is computed as softplus(−t), which neither overflows nor loses the gradient.
"""

from __future__ import annotations

import tensorflow as tf


def cross_entropy_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_D = −E[log D(x)] − E[log(1 − D(G(z)))].

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, equation 1.
    """
    return tf.reduce_mean(tf.math.softplus(-real_logits)) + tf.reduce_mean(tf.math.softplus(fake_logits))


def minimax_generator(_real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = E[log(1 − D(G(z)))]: minimises what the discriminator maximises.

    Its gradient vanishes where the discriminator is confident.

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, equation 1.
    """
    return -tf.reduce_mean(tf.math.softplus(fake_logits))


def non_saturating_generator(_real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = −E[log D(G(z))].

    Reference: Goodfellow et al. 2014, arXiv 1406.2661, section 3.
    """
    return tf.reduce_mean(tf.math.softplus(-fake_logits))


def hinge_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_D = E[max(0, 1 − r)] + E[max(0, 1 + f)].

    Reference: Miyato et al. 2018, arXiv 1802.05957, equation 16.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def wasserstein_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_D = E[f] − E[r]: minus the Wasserstein distance, for the best 1-Lipschitz discriminator.

    Reference: Arjovsky et al. 2017, arXiv 1701.07875, equation 3.
    """
    return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)


def wasserstein_generator(_real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = −E[f]; the hinge loss uses it too.

    Reference: Arjovsky et al. 2017, arXiv 1701.07875, theorem 3; Miyato et al. 2018, arXiv 1802.05957, equation 17.
    """
    return -tf.reduce_mean(fake_logits)


def relativistic_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_D = E[−log σ(r − f)]; each real image is paired with the generated image at the same position in the batch.

    Reference: Jolicoeur-Martineau 2018, arXiv 1807.00734, section 4; Huang et al. 2025, arXiv 2501.05441, equation 2.
    """
    return tf.reduce_mean(tf.math.softplus(fake_logits - real_logits))


def relativistic_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """L_G = E[−log σ(f − r)], in the non-saturating form.

    Reference: Jolicoeur-Martineau 2018, arXiv 1807.00734, section 4; Huang et al. 2025, arXiv 2501.05441, equation 2.
    """
    return tf.reduce_mean(tf.math.softplus(real_logits - fake_logits))


def l1_reconstruction(images: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """E|x − G(z)|, the mean over all numbers of `images` and `generated` [B, H, W, C]."""
    return tf.reduce_mean(tf.abs(images - generated))


def l2_reconstruction(images: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """E(x − G(z))², the mean over all numbers of `images` and `generated` [B, H, W, C]."""
    return tf.reduce_mean(tf.square(images - generated))


DISCRIMINATOR = {
    "minimax": cross_entropy_discriminator,
    "non_saturating": cross_entropy_discriminator,
    "hinge": hinge_discriminator,
    "wasserstein": wasserstein_discriminator,
    "relativistic": relativistic_discriminator,
}
GENERATOR = {
    "minimax": minimax_generator,
    "non_saturating": non_saturating_generator,
    "hinge": wasserstein_generator,
    "wasserstein": wasserstein_generator,
    "relativistic": relativistic_generator,
}
RECONSTRUCTION = {"l1": l1_reconstruction, "l2": l2_reconstruction}
INVARIANT_TO_A_CONSTANT = ("wasserstein", "relativistic")
"""Losses that stay the same when a constant is added to every logit."""

"""The objective of a GAN: what the discriminator minimises, and what the generator minimises."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gan_core import metric_names as names
from gan_core.config import TrainConfig
from gan_core.training import losses, penalties
from gan_core.training.augment import augment
from gan_core.training.draws import Part, PassDraws

Metrics = dict[str, tf.Tensor]


class Objective:
    """Both networks' losses on one part of a batch, each with its metrics by name (scalars).

    Args:
        config: parameters of the training.
        generator, discriminator: the networks.
    """

    def __init__(self, config: TrainConfig, generator: Any, discriminator: Any) -> None:
        self._config = config
        self._generator = generator
        self._discriminator = discriminator

    def generate(self, part: Part) -> tf.Tensor:
        """Generated images G(z), [B, H, W, C] in [−1, 1], for the part's labels or input images if there are any."""
        condition = part.labels if part.labels is not None else part.inputs
        return self._generator(part.latents if condition is None else [part.latents, condition], training=True)

    def discriminator_loss(
        self, part: Part, fake_images: tf.Tensor, augment_probability: tf.Tensor, penalty_factor: tf.Tensor | None
    ) -> tuple[tf.Tensor, Metrics]:
        """Returns L_D + factor · (γ₁/2 · R1 + γ₂/2 · R2 + λ · gradient penalty); no penalties without a factor.

        A self-supervised discriminator's loss also has the L1 distance of its reconstructions to the real images. It
        has batch norm, which no penalty fits.
        """
        config, real_images = self._config, part.real_images

        def real_logits_of(images: tf.Tensor) -> tf.Tensor:
            return self._logits(images, part, part.real_pass, augment_probability)

        def fake_logits_of(images: tf.Tensor) -> tf.Tensor:
            return self._logits(images, part, part.fake_pass, augment_probability)

        penalty = self_supervision = tf.constant(0.0)
        if config.self_supervised:
            shown = self._shown(real_images, part, part.real_pass, augment_probability)
            real_logits, pairs = self._discriminator.with_reconstructions(
                shown, part.labels, part.real_pass.dropout_mask, part.quarters
            )
            self_supervision = tf.add_n([losses.l1_reconstruction(*pair) for pair in pairs])
            fake_logits = fake_logits_of(fake_images)
        elif penalty_factor is None:
            real_logits, fake_logits = real_logits_of(real_images), fake_logits_of(fake_images)
        else:
            real_logits, r1 = penalties.zero_centered(real_logits_of, real_images, config.r1_weight / 2)
            fake_logits, r2 = penalties.zero_centered(fake_logits_of, fake_images, config.r2_weight / 2)
            gp = penalties.gradient_penalty(
                real_logits_of, real_images, fake_images, part.interpolation, config.gradient_penalty_weight
            )
            penalty = (penalty + r1 + r2 + gp) * penalty_factor
        loss = losses.DISCRIMINATOR[config.loss](real_logits, fake_logits)
        metrics = _logit_metrics(config.loss, real_logits, fake_logits)
        metrics |= {names.DISCRIMINATOR_LOSS: loss, names.PENALTY: penalty}
        metrics |= {names.SELF_SUPERVISION: self_supervision} if config.self_supervised else {}
        return loss + penalty + self_supervision, metrics

    def generator_loss(
        self, part: Part, fake_images: tf.Tensor, augment_probability: tf.Tensor
    ) -> tuple[tf.Tensor, Metrics]:
        """Returns L_G + λ · reconstruction term, a scalar; the term is the L1 or L2 distance to the real images."""
        config = self._config
        fake_logits = self._logits(fake_images, part, part.generator_pass, augment_probability)
        real_logits = None
        if config.loss == "relativistic":  # only this loss needs real logits, which come from the updated discriminator
            real_logits = self._logits(part.real_images, part, part.real_pass, augment_probability)
        loss, reconstruction = losses.GENERATOR[config.loss](real_logits, fake_logits), tf.constant(0.0)
        if config.reconstruction != "none":
            reconstruction = losses.RECONSTRUCTION[config.reconstruction](part.real_images, fake_images)
            loss += config.reconstruction_weight * reconstruction
        return loss, {names.GENERATOR_LOSS: loss, names.RECONSTRUCTION: reconstruction}

    def _logits(self, images: tf.Tensor, part: Part, draws: PassDraws, augment_probability: tf.Tensor) -> tf.Tensor:
        """Logits of augmented images."""
        shown = self._shown(images, part, draws, augment_probability)
        return self._discriminator(shown, part.labels, draws.dropout_mask)

    def _shown(self, images: tf.Tensor, part: Part, draws: PassDraws, augment_probability: tf.Tensor) -> tf.Tensor:
        """Augmented images; for a paired GAN, each image together with its input."""
        shown = [images] if part.inputs is None else [images, part.inputs]
        if draws.augmentation is not None:  # an image and its input get the same augmentation
            policy = self._config.augment
            shown = [augment(image, policy, draws.augmentation, augment_probability) for image in shown]
        return tf.concat(shown, axis=-1)


def _logit_metrics(loss: str, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> Metrics:
    """The mean logits, the mean sign of the real ones, and the share of correctly classified images.

    Some losses are invariant to a constant added to every logit, so the sign of a single logit means nothing. For them,
    the sign is that of the difference between the logits of the real and the generated image at the same position in
    the batch.
    """
    if loss in losses.INVARIANT_TO_A_CONSTANT:
        real_margins = real_logits - fake_logits
        right = real_margins > 0
    else:
        real_margins = real_logits
        right = tf.concat([real_logits > 0, fake_logits < 0], axis=0)
    return {
        names.REAL_LOGITS: tf.reduce_mean(real_logits),
        names.FAKE_LOGITS: tf.reduce_mean(fake_logits),
        names.REAL_SIGN: tf.reduce_mean(tf.sign(real_margins)),
        names.DISCRIMINATOR_ACCURACY: tf.reduce_mean(tf.cast(right, tf.float32)),
    }

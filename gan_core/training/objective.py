"""One step of both networks: the whole objective, as it runs on each replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from gan_core import metric_names
from gan_core.config import TrainConfig
from gan_core.training import losses, penalties
from gan_core.training.augment import NUMBERS, augment
from gan_core.training.distribution import Distribution
from gan_core.training.optimizer import Adam
from gan_core.training.schedules import scheduled

FIGURES = (
    metric_names.GENERATOR_LOSS,
    metric_names.DISCRIMINATOR_LOSS,
    metric_names.REAL_LOGITS,
    metric_names.FAKE_LOGITS,
    metric_names.REAL_SIGN,
    metric_names.DISCRIMINATOR_ACCURACY,
    metric_names.RECONSTRUCTION,
    metric_names.PENALTY,
    metric_names.AUGMENT_PROBABILITY,
    metric_names.GENERATOR_GRADIENT_NORM,
    metric_names.DISCRIMINATOR_GRADIENT_NORM,
)
_DISCRIMINATOR_LOSSES = {
    "minimax": losses.cross_entropy_discriminator,
    "non_saturating": losses.cross_entropy_discriminator,
    "hinge": losses.hinge_discriminator,
    "wasserstein": losses.wasserstein_discriminator,
    "relativistic": losses.relativistic_discriminator,
}
_GENERATOR_LOSSES = {
    "minimax": losses.minimax_generator,
    "non_saturating": losses.non_saturating_generator,
    "hinge": losses.wasserstein_generator,
    "wasserstein": losses.wasserstein_generator,
    "relativistic": losses.relativistic_generator,
}
# These losses are invariant to a constant added to every logit, so the sign of a logit means nothing. A real image is
# judged by the difference between its logit and that of the generated image at the same position in the batch.
_LOSSES_OF_DIFFERENCES = ("wasserstein", "relativistic")
_RECONSTRUCTIONS = {"l1": losses.l1_reconstruction, "l2": losses.l2_reconstruction}
# Purposes of random draws. The discriminator makes three passes: real, generated, and generated for the generator's
# loss.
_LATENTS, _INTERPOLATION = 0, 7
_REAL, _FAKE, _GENERATOR = range(3)
_DROPOUT, _AUGMENT = 1, 4


class Batch(NamedTuple):
    """Real images of one step: uint8 [discriminator_steps, batch_size, H, W, C].

    `labels` are int32 [discriminator_steps, batch_size] for a conditional GAN, `inputs` have the form of the images for
    a paired GAN; otherwise they are None.
    """

    images: Any
    labels: Any = None
    inputs: Any = None


class _Part(NamedTuple):
    """The data of one pass through the networks: B images in [−1, 1] and all random numbers drawn for them."""

    images: tf.Tensor
    labels: tf.Tensor | None
    inputs: tf.Tensor | None
    latents: tf.Tensor
    masks: Sequence[tf.Tensor | None]
    uniforms: Sequence[tf.Tensor | None]
    interpolation: tf.Tensor


class Step:
    """`discriminator_steps` steps of the discriminator, then one of the generator.

    The generator's step uses the images of the last discriminator step. The expectation is the same as with new images,
    and one forward pass is saved (without accumulation).

    Args:
        config: parameters of the training.
        generator, discriminator: the networks.
        optimizers: their optimisers, in this order.
        distribution: the split of the batch among replicas.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: Any,
        discriminator: Any,
        optimizers: tuple[Adam, Adam],
        distribution: Distribution,
    ) -> None:
        self._config = config
        self._generator = generator
        self._discriminator = discriminator
        self._generator_optimizer, self._discriminator_optimizer = optimizers
        self._distribution = distribution

    def __call__(
        self,
        batch: Batch,
        images_seen: tf.Tensor,
        learning_rate_scale: tf.Tensor,
        augment_probability: tf.Tensor,
        penalised: tuple[bool, ...],
    ) -> tf.Tensor:
        """Updates the weights and returns the FIGURES of the global batch, float32.

        Args:
            batch: the real images.
            images_seen: real images seen before this step, a scalar int64.
            learning_rate_scale: a factor of both learning rates.
            augment_probability: probability of each augmentation; used only if it is adaptive.
            penalised: for each discriminator step, whether it applies the penalties.
        """
        config = self._config
        for index, penalise in enumerate(penalised):
            seen = images_seen + index * config.batch_size
            values = scheduled(config, seen)
            learning_rate = values.learning_rate * learning_rate_scale
            probability = augment_probability if config.augment_target > 0 else values.augment_probability
            parts = [self._part(batch, index, seen, part) for part in range(config.accumulation_steps)]
            penalty_factor = values.penalty_factor * config.penalty_interval if penalise else None
            gradients: list[list[tf.Tensor]] = []
            found: list[tf.Tensor] = []
            for part in parts:
                # Compute the parts one after the other, so that only one part's activations are in memory.
                with tf.control_dependencies(gradients[-1] if gradients else []):
                    generator_tape, generated = self._generate(part)
                    tape = self._discriminator_optimizer.tape()
                    with tape:
                        loss, figures = self._discriminator_loss(part, generated, probability, penalty_factor)
                    gradients.append(self._discriminator_optimizer.gradients(tape, loss))
                    found.append(figures)
            discriminator_norm = self._discriminator_optimizer.descend(
                _mean(gradients),
                learning_rate * config.discriminator_learning_rate_factor,
                config.beta_1,
                values.beta_2,
            )
        discriminator_figures = _mean(found)

        gradients, found = [], []
        for part in parts:
            with tf.control_dependencies(gradients[-1] if gradients else []):
                if len(parts) > 1:
                    generator_tape, generated = self._generate(part)
                with generator_tape:
                    loss, figures = self._generator_loss(part, generated, probability)
                gradients.append(self._generator_optimizer.gradients(generator_tape, loss))
                found.append(figures)
        generator_norm = self._generator_optimizer.descend(
            _mean(gradients), learning_rate, config.beta_1, values.beta_2
        )
        generator_loss, reconstruction = tf.unstack(_mean(found))
        discriminator_loss, real, fake, sign, accuracy, penalty = tf.unstack(discriminator_figures)
        figures = tf.stack(
            [
                generator_loss,
                discriminator_loss,
                real,
                fake,
                sign,
                accuracy,
                reconstruction,
                penalty,
                probability,
                generator_norm,
                discriminator_norm,
            ]
        )
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, figures)

    def _part(self, batch: Batch, index: int, seen: tf.Tensor, part: int) -> _Part:
        """Returns this replica's share of the `part`-th part of the global batch and of its random numbers."""
        config = self._config
        rows, features = config.batch_size, self._discriminator.dropout_features

        def own(array: Any) -> Any:
            return None if array is None else self._distribution.slice(array, part, config.accumulation_steps)

        def uniform(purpose: int, *shape: int) -> tf.Tensor:
            return own(tf.random.stateless_uniform((rows, *shape), self._seed(purpose, seen), alg="philox"))

        def mask(purpose: int) -> tf.Tensor | None:
            if not features or not config.dropout:
                return None
            return tf.cast(uniform(purpose, features) >= config.dropout, tf.float32) / (1.0 - config.dropout)

        latents = tf.random.stateless_normal((rows, config.latent_size), self._seed(_LATENTS, seen), alg="philox")
        return _Part(
            images=_scaled(own(batch.images[index])),
            labels=None if batch.labels is None else own(batch.labels[index]),
            inputs=None if batch.inputs is None else _scaled(own(batch.inputs[index])),
            latents=own(latents),
            masks=[mask(_DROPOUT + one) for one in (_REAL, _FAKE, _GENERATOR)],
            uniforms=[uniform(_AUGMENT + one, NUMBERS) if config.augment else None for one in range(3)],
            interpolation=uniform(_INTERPOLATION, 1, 1, 1),
        )

    def _seed(self, purpose: int, images_seen: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(
            tf.constant([self._config.seed, purpose], tf.int64), images_seen, alg="philox"
        )

    def _generate(self, part: _Part) -> tuple[tf.GradientTape, tf.Tensor]:
        tape = self._generator_optimizer.tape()
        with tape:
            condition = part.labels if part.labels is not None else part.inputs
            arguments = part.latents if condition is None else [part.latents, condition]
            return tape, self._generator(arguments, training=True)

    def _discriminate(self, images: tf.Tensor, part: _Part, one: int, probability: tf.Tensor) -> tf.Tensor:
        """Returns the logits of `images` in one of the three passes, after augmentation.

        For a paired GAN the discriminator sees each image together with its input.
        """
        shown = [images] if part.inputs is None else [images, part.inputs]
        if part.uniforms[one] is not None:
            # Both images of a pair get the same augmentation.
            shown = [augment(image, self._config.augment, part.uniforms[one], probability) for image in shown]
        return self._discriminator(tf.concat(shown, axis=-1), part.labels, part.masks[one])

    def _discriminator_loss(
        self, part: _Part, generated: tf.Tensor, probability: tf.Tensor, penalty_factor: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss with its penalty, factor · (γ₁/2 · R1 + γ₂/2 · R2 + λ · gradient penalty)."""
        config = self._config

        def real(images: tf.Tensor) -> tf.Tensor:
            return self._discriminate(images, part, _REAL, probability)

        def fake(images: tf.Tensor) -> tf.Tensor:
            return self._discriminate(images, part, _FAKE, probability)

        penalty = tf.constant(0.0)
        if penalty_factor is not None and config.r1_weight:
            real_logits, slope = penalties.zero_centered(real, part.images)
            penalty += config.r1_weight / 2 * slope
        else:
            real_logits = real(part.images)
        if penalty_factor is not None and config.r2_weight:
            fake_logits, slope = penalties.zero_centered(fake, generated)
            penalty += config.r2_weight / 2 * slope
        else:
            fake_logits = fake(generated)
        if penalty_factor is not None:
            if config.gradient_penalty_weight:
                shares = part.interpolation
                penalty += config.gradient_penalty_weight * penalties.gradient_penalty(
                    real, part.images, generated, shares
                )
            penalty *= penalty_factor
        loss = _DISCRIMINATOR_LOSSES[config.loss](real_logits, fake_logits)
        if config.loss in _LOSSES_OF_DIFFERENCES:
            margins = real_logits - fake_logits
            right = margins > 0
        else:
            margins = real_logits
            right = tf.concat([real_logits > 0, fake_logits < 0], axis=0)
        means = [
            tf.reduce_mean(figure)
            for figure in (real_logits, fake_logits, tf.sign(margins), tf.cast(right, tf.float32))
        ]
        return loss + penalty, tf.stack([loss, *means, penalty])

    def _generator_loss(self, part: _Part, generated: tf.Tensor, probability: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        config = self._config
        fake_logits = self._discriminate(generated, part, _GENERATOR, probability)
        # Only the relativistic loss needs the real images' logits after the discriminator's step.
        real_logits = fake_logits
        if config.loss == "relativistic":
            real_logits = self._discriminate(part.images, part, _REAL, probability)
        loss = _GENERATOR_LOSSES[config.loss](real_logits, fake_logits)
        reconstruction = tf.constant(0.0)
        if config.reconstruction != "none":
            reconstruction = _RECONSTRUCTIONS[config.reconstruction](part.images, generated)
            loss += config.reconstruction_weight * reconstruction
        return loss, tf.stack([loss, reconstruction])


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """Scales grey levels from 0..255 to [−1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def _mean(parts: Sequence[Any]) -> Any:
    """The mean over the parts, of a tensor or of each tensor in a list."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [tf.add_n(list(tensors)) / len(parts) for tensors in zip(*parts, strict=True)]
    return tf.add_n(list(parts)) / len(parts)

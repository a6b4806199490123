"""Both networks, their optimisers, the averaged generator and the counters as one state, and the step that moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gan_core import losses
from gan_core.config import TrainConfig
from gan_core.networks import dcgan

FIGURES = (
    "generator_loss",
    "discriminator_loss",
    "real_logits",
    "fake_logits",
    "reconstruction",
    "generator_gradient_norm",
    "discriminator_gradient_norm",
)
_GENERATOR_LOSSES = {"minimax": losses.minimax_generator, "non_saturating": losses.non_saturating_generator}
_RECONSTRUCTIONS = {"l1": losses.l1_reconstruction, "l2": losses.l2_reconstruction}
_LATENTS, _DROPOUT_REAL, _DROPOUT_FAKE, _DROPOUT_GENERATOR = range(4)
_EMA_RAMP = 0.05


class Gan:
    """A GAN in training.

    Every random draw is a pure function of (config.seed, purpose, images seen), so the variables and `images_seen` are
    the whole state.

    Attributes:
        images_seen: real images shown to the discriminator.
        averaged_generator: Keras model with the exponential moving average of the generator's weights and of its batch
            norm statistics, always float32.
    """

    def __init__(self, config: TrainConfig, shape: tuple[int, int, int], *, xla: bool, mixed_precision: bool) -> None:
        dtype = "mixed_float16" if mixed_precision else "float32"
        generator: dict[str, Any] = {
            "latent_size": config.latent_size,
            "width": config.generator_width,
            "growth": 8,
            "depth": 1,
            "classes": 0,
            "seed": 2 * config.seed,
        }
        self.config = config
        self.images_seen = 0
        self.images_per_step = config.batch_size * config.discriminator_steps
        self.generator = dcgan.build_generator(shape, **generator, dtype=dtype)
        self.averaged_generator = dcgan.build_generator(shape, **generator)
        self.discriminator = dcgan.Discriminator(
            shape,
            width=config.discriminator_width,
            growth=8,
            depth=1,
            classes=0,
            dropout=config.dropout,
            normalization="batch",
            seed=2 * config.seed + 1,
            dtype=dtype,
        )
        self._generator_optimizer = _adam(config, mixed_precision)
        self._discriminator_optimizer = _adam(config, mixed_precision)
        self._generator_optimizer.build(self.generator.trainable_variables)
        self._discriminator_optimizer.build(self.discriminator.trainable_variables)
        self._totals = tf.Variable(tf.zeros(len(FIGURES)))
        self._failed_at = tf.Variable(-1, dtype=tf.int64)
        self._failed_figures = tf.Variable(tf.zeros(len(FIGURES)))
        signature = (
            tf.TensorSpec((config.discriminator_steps, config.batch_size, *shape), tf.uint8),
            tf.TensorSpec((), tf.int64),
        )
        self._step = tf.function(self._update, input_signature=signature, jit_compile=xla)
        self._sample = tf.function(lambda latents: self.averaged_generator(latents, training=False))

    def step(self, images: NDArray[np.uint8]) -> None:
        """Trains on real images, uint8 [discriminator_steps, batch_size, H, W, C]."""
        self._step(images, tf.constant(self.images_seen, tf.int64))
        self.images_seen += self.images_per_step

    def _update(self, real_images: tf.Tensor, images_seen: tf.Tensor) -> None:
        """The whole objective: `discriminator_steps` steps of the discriminator, then one of the generator.

        The generator's step works on the last images that the discriminator's step was made with: the expectation is
        the same as with fresh ones, and one forward pass is saved.
        """
        for index, batch in enumerate(tf.unstack(real_images)):
            seen = images_seen + index * self.config.batch_size
            images = tf.cast(batch, tf.float32) / 127.5 - 1.0
            latents = tf.random.stateless_normal(
                (self.config.batch_size, self.config.latent_size), self._seed(_LATENTS, seen), alg="philox"
            )
            generator_tape = _tape_of(self.generator)
            with generator_tape:
                generated = self.generator(latents, training=True)
            discriminator_tape = _tape_of(self.discriminator)
            with discriminator_tape:
                real_logits = self.discriminator(images, None, self._mask(_DROPOUT_REAL, seen))
                fake_logits = self.discriminator(generated, None, self._mask(_DROPOUT_FAKE, seen))
                discriminator_loss = losses.cross_entropy_discriminator(real_logits, fake_logits)
                scaled_loss = self._discriminator_optimizer.scale_loss(discriminator_loss)
            discriminator_norm = _descend(
                self._discriminator_optimizer, discriminator_tape, scaled_loss, self.discriminator
            )

        with generator_tape:
            logits = self.discriminator(generated, None, self._mask(_DROPOUT_GENERATOR, seen))
            generator_loss = _GENERATOR_LOSSES[self.config.loss](real_logits, logits)
            reconstruction = tf.constant(0.0)
            if self.config.reconstruction != "none":
                reconstruction = _RECONSTRUCTIONS[self.config.reconstruction](images, generated)
                generator_loss += self.config.reconstruction_weight * reconstruction
            scaled_loss = self._generator_optimizer.scale_loss(generator_loss)
        generator_norm = _descend(self._generator_optimizer, generator_tape, scaled_loss, self.generator)

        self._average(images_seen + self.images_per_step)
        self._record(
            images_seen + self.images_per_step,
            tf.stack(
                [
                    generator_loss,
                    discriminator_loss,
                    tf.reduce_mean(real_logits),
                    tf.reduce_mean(fake_logits),
                    reconstruction,
                    generator_norm,
                    discriminator_norm,
                ]
            ),
        )

    def _seed(self, purpose: int, images_seen: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(
            tf.constant([self.config.seed, purpose], tf.int64), images_seen, alg="philox"
        )

    def _mask(self, purpose: int, images_seen: tf.Tensor) -> tf.Tensor | None:
        if not self.discriminator.dropout_features:
            return None
        kept = tf.ones((self.config.batch_size, self.discriminator.dropout_features))
        return tf.nn.experimental.stateless_dropout(
            kept, self.config.dropout, self._seed(purpose, images_seen), rng_alg="philox"
        )

    def _average(self, images_seen: tf.Tensor) -> None:
        """Moves the averaged generator: w̄ ← w + (w̄ − w)·½^(images of a step / half-life).

        The half-life is at most 5 % of the images seen, so that the first, bad weights are soon forgotten.

        Reference: Karras et al. 2020, arXiv 2006.06676, appendix (`ema_rampup` of its code).
        """
        half_life = tf.minimum(
            tf.constant(self.config.ema_half_life_images, tf.float32), _EMA_RAMP * tf.cast(images_seen, tf.float32)
        )
        decay = tf.where(half_life > 0, 0.5 ** (self.images_per_step / tf.maximum(half_life, 1e-8)), 0.0)
        for average, weight in zip(self.averaged_generator.weights, self.generator.weights, strict=True):
            average.assign(weight + (average - weight) * decay)

    def _record(self, images_seen: tf.Tensor, figures: tf.Tensor) -> None:
        """Adds to the totals, and keeps the first figures that are not finite, without waiting for the device."""
        self._totals.assign_add(figures)
        first = tf.logical_and(self._failed_at < 0, tf.logical_not(tf.reduce_all(tf.math.is_finite(figures))))
        self._failed_figures.assign(tf.where(first, figures, self._failed_figures))
        self._failed_at.assign(tf.where(first, images_seen, self._failed_at))

    def sample(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images of the averaged generator, float32 [B, H, W, C] in [−1, 1]."""
        images: NDArray[np.float32] = self._sample(tf.constant(latents)).numpy()
        return images

    def take_totals(self) -> dict[str, float]:
        """The sums of the figures over the steps since the last call."""
        totals = dict(zip(FIGURES, self._totals.numpy().tolist(), strict=True))
        self._totals.assign(tf.zeros(len(FIGURES)))
        return totals

    def weight_norms(self) -> dict[str, float]:
        """The Euclidean norm of each network's learned weights."""
        return {
            f"{name}_weight_norm": float(tf.linalg.global_norm([v.value for v in network.trainable_variables]))
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }

    def failure(self) -> tuple[int, str, float] | None:
        """Images seen, name and value of the first figure that was not finite; None if all were."""
        if (images_seen := int(self._failed_at.numpy())) < 0:
            return None
        figures = dict(zip(FIGURES, self._failed_figures.numpy().tolist(), strict=True))
        name = next(name for name, value in figures.items() if not np.isfinite(value))
        return images_seen, name, figures[name]

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the whole state by name."""
        arrays = {name: np.array(variable.numpy()) for name, variable in self._variables().items()}
        return {"images_seen": np.array(self.images_seen, np.int64)} | arrays

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets the whole state to one that `state` returned, of a GAN with the same parameters."""
        for name, variable in self._variables().items():
            variable.assign(state[name])
        self.images_seen = int(state["images_seen"])

    def _variables(self) -> dict[str, Any]:
        parts = {
            "generator": self.generator.weights,
            "averaged_generator": self.averaged_generator.weights,
            "discriminator": self.discriminator.weights,
            "generator_optimizer": self._generator_optimizer.variables,
            "discriminator_optimizer": self._discriminator_optimizer.variables,
            "totals": [self._totals],
        }
        return {f"{part}/{index}": variable for part, group in parts.items() for index, variable in enumerate(group)}


def _adam(config: TrainConfig, mixed_precision: bool) -> Any:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); float16 gradients are kept from vanishing by scaling the loss."""
    adam = keras.optimizers.Adam(config.learning_rate, beta_1=config.beta_1, beta_2=config.beta_2)
    return keras.optimizers.LossScaleOptimizer(adam) if mixed_precision else adam


def _tape_of(network: Any) -> tf.GradientTape:
    """A tape that sees one network's weights: the other network is fixed."""
    tape = tf.GradientTape(watch_accessed_variables=False)
    with tape:
        tape.watch([variable.value for variable in network.trainable_variables])
    return tape


def _descend(optimizer: Any, tape: tf.GradientTape, scaled_loss: tf.Tensor, network: Any) -> tf.Tensor:
    """Makes one step of the optimiser and returns the Euclidean norm of the loss's gradient."""
    variables = network.trainable_variables
    gradients = tape.gradient(scaled_loss, [variable.value for variable in variables])
    scale = optimizer.scale_loss(tf.constant(1.0))
    optimizer.apply(gradients, variables)
    return tf.linalg.global_norm(gradients) / scale

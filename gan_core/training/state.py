"""The state of a GAN in training (networks, optimisers, averaged generator, counters) and the step that updates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gan_core.config import TrainConfig
from gan_core.metric_names import (
    DISCRIMINATOR_LEARNING_RATE,
    DISCRIMINATOR_WEIGHT_NORM,
    GENERATOR_LEARNING_RATE,
    GENERATOR_WEIGHT_NORM,
    REAL_SIGN,
)
from gan_core.networks.build import build_discriminator, build_generator, dtype_policy
from gan_core.training.distribution import Distribution, check_replicas
from gan_core.training.objective import FIGURES, Batch, Step
from gan_core.training.optimizer import Adam
from gan_core.training.schedules import scheduled

# Images in which an adaptive augmentation can go from probability 0 to 1.
# Karras et al. 2020, arXiv 2006.06676, section 3.
_IMAGES_TO_ADAPT = 500_000


class Gan:
    """A GAN in training.

    Every random draw is a pure function of (config.seed, purpose, images seen), so the variables and `images_seen` are
    the whole state.

    Args:
        config: parameters of the training.
        shape: height, width, channels of an image.
        classes: number of classes of a conditional GAN, else 0.
        distribution: the devices; by default one.
        xla: compile the step.
        mixed_precision: compute in float16, or in bfloat16 for r3gan.

    Attributes:
        images_seen: real images shown to the discriminator.
        steps_per_execution: config.steps_per_execution on one device without XLA, else 1.
        averaged_generator: Keras model with the exponential moving average of the generator's weights and of its batch
            norm statistics, always float32.
    """

    def __init__(
        self,
        config: TrainConfig,
        shape: tuple[int, int, int],
        classes: int = 0,
        *,
        distribution: Distribution | None = None,
        xla: bool,
        mixed_precision: bool,
    ) -> None:
        self.config = config
        self.shape = shape
        self.classes = classes
        self.images_seen = 0
        self.images_per_step = config.batch_size * config.discriminator_steps
        self.distribution = distribution or Distribution()
        check_replicas(config.batch_size, config.accumulation_steps, self.distribution.replicas)
        self.steps_per_execution = 1 if xla or self.distribution.replicas > 1 else config.steps_per_execution
        self._build(mixed_precision)
        self._augment_probability = tf.Variable(config.augment_probability)
        self._learning_rate_scale = tf.Variable(1.0)
        self._totals = tf.Variable(tf.zeros(len(FIGURES)))
        self._failed_at = tf.Variable(-1, dtype=tf.int64)
        self._failed_figures = tf.Variable(tf.zeros(len(FIGURES)))
        optimizers = (self._generator_optimizer, self._discriminator_optimizer)
        self._compute = Step(config, self.generator, self.discriminator, optimizers, self.distribution)
        self._step = tf.function(self._make_steps, jit_compile=xla, autograph=False)
        self._sample = tf.function(lambda arguments: self.averaged_generator(arguments, training=False))
        self._norms = tf.function(self._weight_norms, autograph=False)

    def _build(self, mixed_precision: bool) -> None:
        arguments = (self.config, self.shape, self.classes)
        dtype, synchronized = dtype_policy(self.config, mixed_precision=mixed_precision), self.distribution.replicas > 1
        with self.distribution.scope():
            self.generator = build_generator(*arguments, synchronized=synchronized, dtype=dtype)
            self.discriminator = build_discriminator(*arguments, synchronized=synchronized, dtype=dtype)
            self._generator_optimizer = Adam(self.generator, mixed_precision=mixed_precision)
            self._discriminator_optimizer = Adam(self.discriminator, mixed_precision=mixed_precision)
        self.averaged_generator = build_generator(*arguments, synchronized=synchronized, dtype="float32")

    def step(self, batches: Batch) -> None:
        """Makes a step with each global batch of `batches`, a `Batch` with one more leading axis.

        The number of steps in one call affects only the speed: independent operations run in parallel, such as the next
        step's pass over real images and this step's generator update.
        """
        first = self.images_seen // self.config.batch_size
        count, turns = len(batches.images), self.config.discriminator_steps
        penalised = tuple(
            self.config.penalised and (first + index) % self.config.penalty_interval == 0
            for index in range(count * turns)
        )
        tensors = Batch(*(None if array is None else tf.constant(array) for array in batches))
        self._step(
            tensors,
            tf.constant(self.images_seen, tf.int64),
            tuple(penalised[turns * index : turns * (index + 1)] for index in range(count)),
        )
        self.images_seen += count * self.images_per_step

    def _make_steps(self, batches: Batch, images_seen: tf.Tensor, penalised: tuple[tuple[bool, ...], ...]) -> None:
        for index, of_step in enumerate(penalised):
            batch = Batch(*(None if array is None else array[index] for array in batches))
            self._update(batch, images_seen + index * self.images_per_step, of_step)

    def _update(self, batch: Batch, images_seen: tf.Tensor, penalised: tuple[bool, ...]) -> None:
        def compute(batch: Batch, images_seen: tf.Tensor, scale: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
            return self._compute(batch, images_seen, scale, probability, penalised)

        scale, probability = self._learning_rate_scale.read_value(), self._augment_probability.read_value()
        figures = self.distribution.run(compute, (batch, images_seen, scale, probability))
        self._average(images_seen + self.images_per_step)
        self._adapt(figures)
        self._record(images_seen + self.images_per_step, figures)

    def _average(self, images_seen: tf.Tensor) -> None:
        """Updates the averaged generator: w̄ ← w + (w̄ − w)·½^(images of a step / half-life).

        The half-life is at most `ema_ramp` times the images seen, so that the poor early weights are soon forgotten.

        Reference: Karras et al. 2020, arXiv 2006.06676, appendix (`ema_rampup` of its code).
        """
        half_life = tf.minimum(
            tf.constant(self.config.ema_half_life_images, tf.float32),
            self.config.ema_ramp * tf.cast(images_seen, tf.float32),
        )
        decay = tf.where(half_life > 0, 0.5 ** (self.images_per_step / tf.maximum(half_life, 1e-8)), 0.0)
        for average, weight in zip(self.averaged_generator.weights, self.generator.weights, strict=True):
            average.assign(weight + (average - weight) * decay)

    def _adapt(self, figures: tf.Tensor) -> None:
        """Raises the augmentation probability while REAL_SIGN is above `augment_target`, and lowers it while below.

        Reference: Karras et al. 2020, arXiv 2006.06676, equation 1 (r_t) and section 3.
        """
        if self.config.augment_target > 0:
            excess = figures[FIGURES.index(REAL_SIGN)] - self.config.augment_target
            moved = self._augment_probability + tf.sign(excess) * self.images_per_step / _IMAGES_TO_ADAPT
            self._augment_probability.assign(tf.clip_by_value(moved, 0.0, 1.0))

    def _record(self, images_seen: tf.Tensor, figures: tf.Tensor) -> None:
        """Adds `figures` to the totals and keeps the first that are not finite, without waiting for the device."""
        self._totals.assign_add(figures)
        first = tf.logical_and(self._failed_at < 0, tf.logical_not(tf.reduce_all(tf.math.is_finite(figures))))
        self._failed_figures.assign(tf.where(first, figures, self._failed_figures))
        self._failed_at.assign(tf.where(first, images_seen, self._failed_at))

    def sample(self, latents: NDArray[np.float32], condition: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Images of the averaged generator, float32 [B, H, W, C] in [−1, 1].

        `condition` is int32 [B] labels of a conditional GAN, or input images float32 [B, H, W, C] in [−1, 1] of a
        paired one.
        """
        arguments = tf.constant(latents) if condition is None else [tf.constant(latents), tf.constant(condition)]
        images: NDArray[np.float32] = self._sample(arguments).numpy()
        return images

    def take_totals(self) -> dict[str, float]:
        """Returns the sums of the figures over the steps since the last call, and resets them."""
        totals = dict(zip(FIGURES, self._totals.numpy().tolist(), strict=True))
        self._totals.assign(tf.zeros(len(FIGURES)))
        return totals

    def learning_rates(self) -> dict[str, float]:
        """Each network's learning rate for the next step, including the schedule and the scale."""
        scheduled_rate = scheduled(self.config, tf.constant(self.images_seen)).learning_rate.numpy()
        rate = float(scheduled_rate) * self.learning_rate_scale
        factor = self.config.discriminator_learning_rate_factor
        return {GENERATOR_LEARNING_RATE: rate, DISCRIMINATOR_LEARNING_RATE: rate * factor}

    def weight_norms(self) -> dict[str, float]:
        """The Euclidean norm of each network's learned weights."""
        return {name: float(norm) for name, norm in self._norms().items()}

    def _weight_norms(self) -> dict[str, tf.Tensor]:
        return {
            name: tf.linalg.global_norm([variable.value for variable in network.trainable_variables])
            for name, network in (
                (GENERATOR_WEIGHT_NORM, self.generator),
                (DISCRIMINATOR_WEIGHT_NORM, self.discriminator),
            )
        }

    def failure(self) -> tuple[int, str, float] | None:
        """Images seen, name and value of the first figure that was not finite; None if all were finite."""
        if (images_seen := int(self._failed_at.numpy())) < 0:
            return None
        figures = dict(zip(FIGURES, self._failed_figures.numpy().tolist(), strict=True))
        name = next(name for name, value in figures.items() if not np.isfinite(value))
        return images_seen, name, figures[name]

    def slow_down(self, factor: float) -> None:
        """Multiplies both learning rates by `factor` and clears the recorded failure."""
        self._learning_rate_scale.assign(self._learning_rate_scale * factor)
        self._failed_at.assign(-1)

    @property
    def learning_rate_scale(self) -> float:
        """The product of all factors given to `slow_down`, including those before the restored checkpoint."""
        return float(self._learning_rate_scale.numpy())

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
            "augment_probability": [self._augment_probability],
            "learning_rate_scale": [self._learning_rate_scale],
            "totals": [self._totals],
        }
        return {f"{part}/{index}": variable for part, group in parts.items() for index, variable in enumerate(group)}

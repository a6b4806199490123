"""A training step on one replica: `discriminator_steps` updates of the discriminator, then one of the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from gan_core import metric_names as names
from gan_core.config import TrainConfig
from gan_core.training.distribution import Distribution
from gan_core.training.draws import Batch, Part, draw_parts
from gan_core.training.objective import Metrics, Objective
from gan_core.training.optimizer import Adam
from gan_core.training.schedules import scheduled
from gan_core.training.step_metrics import as_vector


class _Turn(NamedTuple):
    """One update of the discriminator: its data, and the parameters that follow a schedule."""

    parts: list[Part]
    learning_rate: tf.Tensor
    beta_2: tf.Tensor
    augment_probability: tf.Tensor
    penalty_factor: tf.Tensor | None


class _Generated(NamedTuple):
    """Generated images of one part, and the tape of the pass that made them."""

    images: tf.Tensor
    tape: tf.GradientTape


class ReplicaStep:
    """Updates both networks with one replica's share of a batch.

    Without accumulation, the generator's update reuses the images of the discriminator's last update. The expected
    gradient is the same as with new images, and this saves one forward pass.

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
        *,
        symbols: int = 0,
    ) -> None:
        self._config = config
        self._symbols = symbols
        self._distribution = distribution
        self._dropout_features = discriminator.dropout_features
        self._generator_optimizer, self._discriminator_optimizer = optimizers
        self._objective = Objective(config, generator, discriminator)

    def __call__(
        self,
        batch: Batch,
        images_seen: tf.Tensor,
        learning_rate_scale: tf.Tensor,
        augment_probability: tf.Tensor,
        penalised: tuple[bool, ...],
    ) -> tf.Tensor:
        """Updates the weights and returns the metrics of the global batch, as `as_vector` orders them.

        Args:
            batch: the real images.
            images_seen: real images seen before this step, a scalar int64.
            learning_rate_scale: a factor of both learning rates.
            augment_probability: probability of each augmentation; used only if it is adaptive.
            penalised: for each update of the discriminator, whether it applies the penalties.
        """
        config = self._config

        def turn(index: int) -> _Turn:
            seen = images_seen + index * config.batch_size
            values = scheduled(config, seen)
            return _Turn(
                draw_parts(
                    config,
                    batch,
                    index,
                    seen,
                    distribution=self._distribution,
                    dropout_features=self._dropout_features,
                    symbols=self._symbols,
                ),
                values.learning_rate * learning_rate_scale,
                values.beta_2,
                augment_probability if config.augment_target > 0 else values.augment_probability,
                values.penalty_factor * config.penalty_interval if penalised[index] else None,
            )

        *earlier, last = (turn(index) for index in range(config.discriminator_steps))
        for each in earlier:
            self._update_discriminator(each, None)
        shared = self._generate(last.parts[0]) if len(last.parts) == 1 else None
        metrics = self._update_discriminator(last, shared) | self._update_generator(last, shared)
        metrics[names.AUGMENT_PROBABILITY] = last.augment_probability
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, as_vector(metrics))

    def _update_discriminator(self, turn: _Turn, shared: _Generated | None) -> Metrics:
        optimizer = self._discriminator_optimizer

        def gradients_of(part: Part) -> tuple[list[tf.Tensor], Metrics]:
            generated = shared or self._generate(part)
            with optimizer.tape() as tape:
                loss, metrics = self._objective.discriminator_loss(
                    part, generated.images, turn.augment_probability, turn.penalty_factor
                )
            return optimizer.gradients(tape, loss), metrics

        gradients, metrics = _accumulated(gradients_of, turn.parts)
        learning_rate = turn.learning_rate * self._config.discriminator_learning_rate_factor
        norm = optimizer.apply(gradients, learning_rate, self._config.beta_1, turn.beta_2)
        return metrics | {names.DISCRIMINATOR_GRADIENT_NORM: norm}

    def _update_generator(self, turn: _Turn, shared: _Generated | None) -> Metrics:
        optimizer = self._generator_optimizer

        def gradients_of(part: Part) -> tuple[list[tf.Tensor], Metrics]:
            generated = shared or self._generate(part)
            with generated.tape:
                loss, metrics = self._objective.generator_loss(part, generated.images, turn.augment_probability)
            return optimizer.gradients(generated.tape, loss), metrics

        gradients, metrics = _accumulated(gradients_of, turn.parts)
        norm = optimizer.apply(gradients, turn.learning_rate, self._config.beta_1, turn.beta_2)
        return metrics | {names.GENERATOR_GRADIENT_NORM: norm}

    def _generate(self, part: Part) -> _Generated:
        with self._generator_optimizer.tape() as tape:
            images = self._objective.generate(part)
        return _Generated(images, tape)


def _accumulated(
    gradients_of: Callable[[Part], tuple[list[tf.Tensor], Metrics]], parts: Sequence[Part]
) -> tuple[list[tf.Tensor], Metrics]:
    """Returns the means of gradients and metrics over the parts of a batch.

    The parts are computed one after the other, so that only one part's activations are in memory.
    """
    if len(parts) == 1:
        return gradients_of(parts[0])
    gradients: list[list[tf.Tensor]] = []
    metrics: list[Metrics] = []
    for part in parts:
        with tf.control_dependencies(gradients[-1] if gradients else []):
            gradients_of_part, metrics_of_part = gradients_of(part)
        gradients.append(gradients_of_part)
        metrics.append(metrics_of_part)

    def mean(values: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.add_n(list(values)) / len(parts)

    # As one vector: with scalars, the graph optimiser would add the terms of the parts' losses in another order.
    mean_metrics = tf.unstack(mean([tf.stack(list(of_part.values())) for of_part in metrics]))
    return [mean(tensors) for tensors in zip(*gradients, strict=True)], dict(zip(metrics[0], mean_metrics, strict=True))

"""The state of a GAN in training: networks, optimisers, averaged generator and counters, as one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gan_core import metric_names as names
from gan_core.config import TrainConfig
from gan_core.errors import InvalidInput
from gan_core.networks.build import build_discriminator, build_generator, dtype_policy
from gan_core.networks.shapes import check_shape
from gan_core.networks.size import require_trainable
from gan_core.representation import network_shape
from gan_core.training.distribution import Distribution, check_replicas
from gan_core.training.optimizer import Adam
from gan_core.training.schedules import scheduled
from gan_core.training.step_metrics import StepMetrics


class Gan:
    """Everything that a training step reads and changes. `gan_core.training.step.TrainStep` does the steps.

    Every random draw is a pure function of (config.seed, purpose, images seen), so the variables and `images_seen` are
    the whole state.

    Args:
        config: parameters of the training.
        shape: height, width, channels of a stored array.
        classes: number of classes of a conditional GAN, else 0.
        symbols: number of different codes in the arrays, such as `codec_of(manifest).symbols`; 0 for levels.
        distribution: the devices; by default one.
        mixed_precision: compute in float16, or in bfloat16 for r3gan.

    Attributes:
        images_seen: real images shown to the discriminator.
        images_per_step: number of real images in one step, on all devices together.
        generator, discriminator: Keras models.
        averaged_generator: Keras model with the exponential moving average of the generator's weights and of its batch
            norm statistics, always float32.
        augment_probability: the current probability of an adaptive augmentation, a scalar variable.
        learning_rate_scale: a factor of both learning rates, a scalar variable; below 1 after a divergence.
        metrics: sums of the steps' metrics.

    Raises:
        InvalidInput: the networks cannot be built for the images, the classes or the devices.

    >>> fresh = Gan(config, dataset.manifest.shape, classes=10)
    >>> fresh.images_seen, fresh.sample(draw_latents(2, config.latent_size, seed=0), np.array([3, 7], np.int32)).shape
    (0, (2, 16, 16, 1))
    """

    def __init__(
        self,
        config: TrainConfig,
        shape: tuple[int, int, int],
        classes: int = 0,
        *,
        symbols: int = 0,
        distribution: Distribution | None = None,
        mixed_precision: bool = False,
    ) -> None:
        check_shape(config.network, shape, symbols)
        require_trainable(config, shape)
        _require_fitting_classes(config, classes)
        self.config = config
        self.shape = shape
        self.symbols = symbols
        self.classes = classes
        self.images_seen = 0
        self.images_per_step = config.batch_size * config.discriminator_steps
        self.distribution = distribution or Distribution()
        check_replicas(config.batch_size, config.accumulation_steps, self.distribution.replicas)
        synchronized = self.distribution.replicas > 1
        dtype = dtype_policy(config, mixed_precision=mixed_precision)
        read = network_shape(shape, symbols)
        with self.distribution.scope():
            self.generator = build_generator(config, read, classes, synchronized=synchronized, dtype=dtype)
            self.discriminator = build_discriminator(config, read, classes, synchronized=synchronized, dtype=dtype)
            self.generator_optimizer = Adam(self.generator, mixed_precision=mixed_precision)
            self.discriminator_optimizer = Adam(self.discriminator, mixed_precision=mixed_precision)
        self.averaged_generator = build_generator(config, read, classes, synchronized=synchronized, dtype="float32")
        self.augment_probability = tf.Variable(config.augment_probability)
        self.learning_rate_scale = tf.Variable(1.0)
        self.metrics = StepMetrics(self_supervised=config.self_supervised)
        self._sample = tf.function(lambda arguments: self.averaged_generator(arguments, training=False))
        self._norms = tf.function(self._weight_norms, autograph=False)

    def sample(self, latents: NDArray[np.float32], condition: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Images of the averaged generator, float32 [B, H, W, C] in [−1, 1]; of codes, distributions over the symbols.

        `condition` is int32 [B] labels of a conditional GAN, or input images float32 [B, H, W, C] in [−1, 1] of a
        paired one.
        """
        arguments = tf.constant(latents) if condition is None else [tf.constant(latents), tf.constant(condition)]
        images: NDArray[np.float32] = self._sample(arguments).numpy()
        return images

    def learning_rates(self) -> dict[str, float]:
        """Each network's learning rate for the next step, including the schedule and the scale."""
        scheduled_rate = scheduled(self.config, tf.constant(self.images_seen)).learning_rate.numpy()
        scale = float(self.learning_rate_scale.numpy())
        rate = float(scheduled_rate) * scale
        return {
            names.LEARNING_RATE_SCALE: scale,
            names.GENERATOR_LEARNING_RATE: rate,
            names.DISCRIMINATOR_LEARNING_RATE: rate * self.config.discriminator_learning_rate_factor,
        }

    def weight_norms(self) -> dict[str, float]:
        """The Euclidean norm of each network's learned weights."""
        return {name: float(norm) for name, norm in self._norms().items()}

    def _weight_norms(self) -> dict[str, tf.Tensor]:
        return {
            name: tf.linalg.global_norm([variable.value for variable in network.trainable_variables])
            for name, network in (
                (names.GENERATOR_WEIGHT_NORM, self.generator),
                (names.DISCRIMINATOR_WEIGHT_NORM, self.discriminator),
            )
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns a copy of the whole state, by name."""
        arrays = {name: np.array(variable.numpy()) for name, variable in self._variables().items()}
        return {"images_seen": np.array(self.images_seen, np.int64)} | arrays

    def restore(self, state: Mapping[str, NDArray[Any]], name: str = "a state") -> None:
        """Sets the whole state to a result of `state` from a GAN with the same parameters.

        Raises:
            InvalidInput: the networks that wrote it have other arrays; the message names `name`. Nothing is changed.
        """
        variables = self._variables()
        own = {"images_seen": ()} | {key: tuple(variable.shape) for key, variable in variables.items()}
        parts = {key.partition("/")[0] for key in own}
        received = {key: np.shape(array) for key, array in state.items() if key.partition("/")[0] in parts}
        if received != own:
            key = min(key for key in own | received if own.get(key) != received.get(key))
            raise InvalidInput(
                "A state must be that of a GAN with the same networks, which the parameters, the array shape and the "
                f"classes determine. Received: {name}, where the shape of {key} is {received.get(key, 'absent')}, not "
                f"{own.get(key, 'absent')}"
            )
        for key, variable in variables.items():
            variable.assign(state[key])
        self.images_seen = int(state["images_seen"])

    def _variables(self) -> dict[str, Any]:
        parts = {
            "generator": self.generator.weights,
            "averaged_generator": self.averaged_generator.weights,
            "discriminator": self.discriminator.weights,
            "generator_optimizer": self.generator_optimizer.variables,
            "discriminator_optimizer": self.discriminator_optimizer.variables,
            "augment_probability": [self.augment_probability],
            "learning_rate_scale": [self.learning_rate_scale],
            "totals": [self.metrics.totals],
        }
        return {f"{part}/{index}": variable for part, group in parts.items() for index, variable in enumerate(group)}


def _require_fitting_classes(config: TrainConfig, classes: int) -> None:
    if classes < 1 if config.takes_labels else classes != 0:
        raise InvalidInput(
            "The number of classes must be at least 1 if 'train.conditional' is on, and 0 if it is off. "
            f"Received: conditional={config.conditional!r}, classes={classes}"
        )

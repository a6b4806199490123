"""Training steps as one compiled function: the updates on each replica, then the average, augmentation and metrics."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from gan_core import metric_names as names
from gan_core.errors import InvalidInput
from gan_core.training.augment import adapted_probability
from gan_core.training.average import update_average
from gan_core.training.draws import Batch
from gan_core.training.replica_step import ReplicaStep
from gan_core.training.state import Gan
from gan_core.training.step_metrics import value_of


class TrainStep:
    """Advances the state of a GAN by whole steps, as one compiled function.

    Args:
        gan: the state to advance.
        xla: compile with XLA.

    Attributes:
        steps_per_execution: maximum number of steps in a call: that of the config on one device without XLA, else 1.

    >>> untrained = Gan(config, dataset.manifest.shape, classes=10)
    >>> step = TrainStep(untrained)
    >>> step(RealBatches(images, config).batches(untrained.images_seen, steps=2))
    >>> untrained.images_seen, untrained.metrics.take_totals()["losses/generator"] > 0
    (16, True)
    """

    def __init__(self, gan: Gan, *, xla: bool = False) -> None:
        self._gan = gan
        several = not xla and gan.distribution.replicas == 1
        self.steps_per_execution = gan.config.steps_per_execution if several else 1
        optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
        networks = (gan.generator, gan.discriminator)
        self._on_replica = ReplicaStep(gan.config, *networks, optimizers, gan.distribution, symbols=gan.symbols)
        self._compiled = tf.function(self._steps, jit_compile=xla, autograph=False)

    def __call__(self, batches: Batch) -> None:
        """Does one step for each global batch in `batches`, a `Batch` with one more leading axis, the steps.

        The number of steps in one call affects only the speed: independent operations run in parallel, such as the next
        step's pass over real images and this step's generator update.

        Raises:
            InvalidInput: the batches' dtypes or shapes do not fit the GAN. Labels are not checked: they must be below
                `gan.classes`.
        """
        gan, config = self._gan, self._gan.config
        first_turn, turns = gan.images_seen // config.batch_size, config.discriminator_steps
        penalised = tuple(
            tuple(
                config.penalised and (first_turn + turns * step + turn) % config.penalty_interval == 0
                for turn in range(turns)
            )
            for step in range(len(batches.images))
        )
        tensors = Batch(*(None if array is None else tf.constant(array) for array in batches))
        self._compiled(tensors, tf.constant(gan.images_seen, tf.int64), penalised)
        gan.images_seen += len(batches.images) * gan.images_per_step

    def _steps(self, batches: Batch, images_seen: tf.Tensor, penalised: tuple[tuple[bool, ...], ...]) -> None:
        gan = self._gan
        check_batches(batches, gan)  # while TensorFlow traces the function, so no later step is slower
        for index, penalised_turns in enumerate(penalised):
            batch = Batch(*(None if array is None else array[index] for array in batches))
            before = images_seen + index * gan.images_per_step
            after = before + gan.images_per_step

            update = partial(self._on_replica, penalised=penalised_turns)
            scale, probability = gan.learning_rate_scale.read_value(), gan.augment_probability.read_value()
            metrics = gan.distribution.run(update, (batch, before, scale, probability))
            update_average(gan.averaged_generator, gan.generator, gan.config, gan.images_per_step, after)
            if gan.config.augment_target > 0:
                excess = value_of(names.REAL_SIGN, metrics) - gan.config.augment_target
                gan.augment_probability.assign(
                    adapted_probability(gan.augment_probability, excess, gan.images_per_step)
                )
            gan.metrics.record(after, metrics)


def check_batches(batches: Batch, gan: Gan) -> None:
    """Checks the dtypes and shapes of batches of several steps: arrays or tensors, labels only for classes.

    Raises:
        InvalidInput: they are not those of the GAN's parameters, image shape and classes.
    """
    rows = (batches.images.shape[0], gan.config.discriminator_steps, gan.config.batch_size)
    images = f"uint8 {(*rows, *gan.shape)}"
    expected = (images, f"int32 {rows}" if gan.classes else "none", images if gan.config.paired else "none")
    for name, array, form in zip(Batch._fields, batches, expected, strict=True):
        received = "none" if array is None else f"{tf.as_dtype(array.dtype).name} {tuple(array.shape)}"
        if received != form:
            raise InvalidInput(
                f"The {name} of a batch must fit the GAN's parameters, array shape and classes: {form}. "
                f"Received: {received}"
            )

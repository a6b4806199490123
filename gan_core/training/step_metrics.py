"""Metrics of the training steps, kept on the device: their sums, and the first values that were not finite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from gan_core import metric_names as names

# Checkpoints hold the sums in this order.
STEP_METRICS = (
    names.GENERATOR_LOSS,
    names.DISCRIMINATOR_LOSS,
    names.REAL_LOGITS,
    names.FAKE_LOGITS,
    names.REAL_SIGN,
    names.DISCRIMINATOR_ACCURACY,
    names.RECONSTRUCTION,
    names.PENALTY,
    names.AUGMENT_PROBABILITY,
    names.GENERATOR_GRADIENT_NORM,
    names.DISCRIMINATOR_GRADIENT_NORM,
)
SELF_SUPERVISED_METRICS = (*STEP_METRICS, names.SELF_SUPERVISION)
"""Those of a step with a self-supervised discriminator."""


def as_vector(metrics: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns the metrics of one step as a float32 vector, in the order of STEP_METRICS or SELF_SUPERVISED_METRICS."""
    return tf.stack([metrics[name] for name in SELF_SUPERVISED_METRICS if name in metrics])


def value_of(name: str, vector: tf.Tensor) -> tf.Tensor:
    """Returns the metric `name` from a result of `as_vector`, a scalar."""
    return vector[SELF_SUPERVISED_METRICS.index(name)]


class StepMetrics:
    """Records each step's metrics without waiting for the device.

    Attributes:
        totals: sums of the metrics since `take_totals`, a variable that checkpoints hold.
    """

    def __init__(self, *, self_supervised: bool) -> None:
        self._names = SELF_SUPERVISED_METRICS if self_supervised else STEP_METRICS
        zeros = tf.zeros(len(self._names))
        self.totals = tf.Variable(zeros)
        self._failed_at = tf.Variable(-1, dtype=tf.int64)
        self._failed = tf.Variable(zeros)

    def record(self, images_seen: tf.Tensor, vector: tf.Tensor) -> None:
        """Adds one step's metrics. Also stores them separately if they are the first that are not finite."""
        self.totals.assign_add(vector)
        first = tf.logical_and(self._failed_at < 0, tf.logical_not(tf.reduce_all(tf.math.is_finite(vector))))
        self._failed.assign(tf.where(first, vector, self._failed))
        self._failed_at.assign(tf.where(first, images_seen, self._failed_at))

    def take_totals(self) -> dict[str, float]:
        """Returns the sums over the steps since the last call, and resets them."""
        totals = dict(zip(self._names, self.totals.numpy().tolist(), strict=True))
        self.totals.assign(tf.zeros(len(self._names)))
        return totals

    def failure(self) -> tuple[int, str, float] | None:
        """Images seen, name and value of the first metric that was not finite; None if all were finite."""
        if (images_seen := int(self._failed_at.numpy())) < 0:
            return None
        metrics = dict(zip(self._names, self._failed.numpy().tolist(), strict=True))
        name = next(name for name, value in metrics.items() if not np.isfinite(value))
        return images_seen, name, metrics[name]

    def clear_failure(self) -> None:
        """Forgets the failure, because the training continues from an earlier state."""
        self._failed_at.assign(-1)

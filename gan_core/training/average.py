"""The exponential moving average of the generator, which is sampled, scored and exported."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gan_core.config import TrainConfig


def update_average(
    averaged_generator: Any, generator: Any, config: TrainConfig, images_per_step: int, images_seen: tf.Tensor
) -> None:
    """Moves every weight of the average towards the generator's: w̄ ← w + (w̄ − w)·½^(images of a step / half-life).

    The half-life is `ema_half_life_images`, but at most `ema_ramp` times the images seen, so that the poor early
    weights are soon forgotten. Batch norm's moving statistics are averaged too.

    Reference: Karras et al. 2020, arXiv 2006.06676, appendix (`ema_rampup` in its code).
    """
    half_life = tf.minimum(
        tf.constant(config.ema_half_life_images, tf.float32), config.ema_ramp * tf.cast(images_seen, tf.float32)
    )
    decay = tf.where(half_life > 0, 0.5 ** (images_per_step / tf.maximum(half_life, 1e-8)), 0.0)
    for average, weight in zip(averaged_generator.weights, generator.weights, strict=True):
        average.assign(weight + (average - weight) * decay)

"""Parameters that follow a schedule over the images seen."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from gan_core.config import TrainConfig


class Values(NamedTuple):
    """The scheduled parameters, float32 scalars."""

    learning_rate: tf.Tensor
    beta_2: tf.Tensor
    penalty_factor: tf.Tensor
    augment_probability: tf.Tensor


def scheduled(config: TrainConfig, images_seen: tf.Tensor) -> Values:
    """Returns the values after `images_seen` images, a scalar integer.

    A value is final + (first − final)·s, where s falls from 1 to 0 over the first `schedule_images`: s = 1 − p (linear)
    or s = ½(1 + cos πp) (cosine), where p is the share of `schedule_images` already seen. A constant schedule stays at
    the first value.

    Reference: Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5 (cosine).
    """
    progress = tf.minimum(tf.cast(images_seen, tf.float32) / config.schedule_images, 1.0)
    rest = {
        "constant": tf.constant(1.0),
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + tf.cos(math.pi * progress)),
    }[config.schedule]
    return Values(
        learning_rate=_between(config.learning_rate, config.final_learning_rate, rest),
        beta_2=_between(config.beta_2, config.final_beta_2, rest),
        penalty_factor=_between(1.0, config.final_penalty_factor, rest),
        augment_probability=_between(config.augment_probability, config.final_augment_probability, rest),
    )


def _between(first: float, final: float, rest: tf.Tensor) -> tf.Tensor:
    return final + (first - final) * rest

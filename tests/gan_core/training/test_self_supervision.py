"""The discriminator of fastgan also learns to reconstruct real images, in the same step as everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from datasets import blobs
from recipes import small_training

from gan_core.representation import to_network_tensor
from gan_core.training.distribution import Distribution
from gan_core.training.draws import Batch, Part, draw_parts
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

SHAPE = (16, 16, 1)
METRIC = "losses/self_supervision"


def config_of(**changes: Any) -> Any:
    sizes = {"generator_width": 4, "discriminator_width": 4, "steps_per_execution": 1}
    return small_training(**{"network": "fastgan", "loss": "hinge", **sizes, **changes})


def batch(number: int = 0) -> Batch:
    return Batch(blobs(8, seed=number).reshape(1, 1, 8, *SHAPE))


def parts(images_seen: int = 0, **changes: Any) -> list[Part]:
    of_a_step = Batch(tf.constant(batch().images[0]))
    options = {"distribution": Distribution(), "dropout_features": 0, "symbols": 0}
    return draw_parts(config_of(**changes), of_a_step, 0, tf.constant(images_seen, tf.int64), **options)


def self_supervision(gan: Gan, step: TrainStep, number: int) -> float:
    step(batch(number))
    assert gan.metrics.failure() is None
    return gan.metrics.take_totals()[METRIC]


def test_the_metric_is_the_l1_distance_of_both_reconstructions() -> None:
    gan = Gan(config_of(), SHAPE)
    (part,) = parts()
    real = to_network_tensor(tf.constant(batch().images[0, 0]), 0)
    _, pairs = gan.discriminator.with_reconstructions(real, None, None, part.quarters)
    expected = sum(float(np.abs(original - decoded).mean()) for original, decoded in pairs)
    assert self_supervision(gan, TrainStep(gan), 0) == pytest.approx(expected, rel=1e-4)


def test_the_discriminator_learns_to_reconstruct() -> None:
    gan = Gan(config_of(learning_rate=0.003), SHAPE)
    step = TrainStep(gan)
    before = [variable.numpy() for variable in gan.discriminator.trainable_variables]
    first, *_, last = (self_supervision(gan, step, 0) for _ in range(25))
    assert last < 0.7 * first
    changes = [np.abs(a.numpy() - b).max() for a, b in zip(gan.discriminator.trainable_variables, before, strict=True)]
    assert min(changes) > 1e-4


def test_every_quarter_is_drawn_and_accumulation_changes_no_number() -> None:
    drawn = [parts(seen)[0].quarters.numpy() for seen in range(0, 400, 8)]
    shares = np.bincount(np.concatenate(drawn), minlength=4) / 400
    assert shares.shape == (4,)
    assert shares == pytest.approx(0.25, abs=0.1)
    halves = [part.quarters for part in parts(accumulation_steps=2)]
    np.testing.assert_array_equal(tf.concat(halves, axis=0), drawn[0])


def test_a_restored_state_gives_the_same_later_steps() -> None:
    first, second = Gan(config_of(), SHAPE), Gan(config_of(), SHAPE)
    step, other = TrainStep(first), TrainStep(second)
    for number in range(4):
        if number == 2:
            second.restore(first.state())
        step(batch(number))
        if number >= 2:
            other(batch(number))
    theirs = second.state()
    for name, array in first.state().items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("options", [{"xla": True}, {"mixed_precision": True}], ids=["xla", "float16"])
def test_xla_and_float16_give_the_same_loss_up_to_rounding(options: dict[str, bool]) -> None:
    found = []
    for changes in ({}, options):
        gan = Gan(config_of(), SHAPE, mixed_precision=changes.get("mixed_precision", False))
        step = TrainStep(gan, xla=changes.get("xla", False))
        found.append(self_supervision(gan, step, 0))
        self_supervision(gan, step, 1)
    # XLA draws other random numbers, so it reconstructs other quarters.
    assert found[1] == pytest.approx(found[0], rel=0.1 if "xla" in options else 0.02)

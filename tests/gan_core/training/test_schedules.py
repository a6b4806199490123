import math

import pytest
import tensorflow as tf
from recipes import small_training

from gan_core.training.schedules import scheduled

CHANGES = {
    "schedule_images": 1000,
    "learning_rate": 0.0002,
    "final_learning_rate": 0.00005,
    "beta_2": 0.9,
    "final_beta_2": 0.99,
    "final_penalty_factor": 0.1,
    "augment": ["color"],
    "augment_probability": 0.1,
    "final_augment_probability": 0.3,
}


def values(schedule, images_seen, **changes):
    config = small_training(schedule=schedule, **{**CHANGES, **changes})
    return [float(value) for value in scheduled(config, tf.constant(images_seen, tf.int64))]


@pytest.mark.parametrize(
    ("schedule", "images_seen", "rest"),
    [
        *(("constant", images_seen, 1.0) for images_seen in (0, 500, 1000, 5000)),
        *(("linear", images_seen, rest) for images_seen, rest in ((0, 1.0), (250, 0.75), (500, 0.5), (1000, 0.0))),
        ("linear", 5000, 0.0),
        ("cosine", 0, 1.0),
        ("cosine", 250, 0.5 + math.sqrt(2) / 4),
        ("cosine", 500, 0.5),
        ("cosine", 750, 0.5 - math.sqrt(2) / 4),
        ("cosine", 1000, 0.0),
        ("cosine", 5000, 0.0),
    ],
)
def test_each_value_follows_its_schedule(schedule, images_seen, rest):
    ends = [(0.0002, 0.00005), (0.9, 0.99), (1.0, 0.1), (0.1, 0.3)]
    expected = [first * rest + final * (1 - rest) for first, final in ends]
    assert values(schedule, images_seen) == pytest.approx(expected, rel=1e-5)


def test_a_learning_rate_may_end_at_exactly_0():
    assert values("linear", 1000, final_learning_rate=0.0)[0] == 0
    assert values("cosine", 1000, final_learning_rate=0.0)[0] == pytest.approx(0, abs=1e-10)


def test_a_schedule_distinguishes_single_steps_of_a_long_training():
    first, second = (values("linear", seen, schedule_images=20_000_000)[0] for seen in (15_000_000, 15_000_064))
    assert second < first

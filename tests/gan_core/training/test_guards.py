"""A discriminator wins if its accuracy is above the limit in two consecutive rows. The warning comes once."""

import logging

import numpy as np
from recipes import small_training

from gan_core.training.guards import Guards


def judged(accuracies, limit=0.9):
    guards = Guards(small_training(winning_accuracy=limit), real_distance=1.0)
    samples = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1))
    history = []
    for number, accuracy in enumerate(accuracies):
        figures = {"logits/discriminator_accuracy": accuracy}
        found = guards.judge(100 * number, samples, figures, history)
        history.append({"images_seen": 100.0 * number, **figures, **found})
    return [row["guards/discriminator_winning"] for row in history]


def test_a_discriminator_wins_if_its_accuracy_is_above_the_limit_in_two_consecutive_rows():
    assert judged([0.95, 0.91, 0.99, 0.9, 0.95, 0.95]) == [0, 1, 1, 0, 0, 1]


def test_the_warning_comes_once_when_the_discriminator_begins_to_win(caplog):
    with caplog.at_level(logging.WARNING):
        judged([0.95, 0.96, 0.97, 0.5, 0.99, 0.981])
    assert [record.getMessage()[:85] for record in caplog.records] == [
        "The discriminator is winning: after 100 examples it classifies 96.0 % of the examples",
        "The discriminator is winning: after 500 examples it classifies 98.1 % of the examples",
    ]

"""The Inception score equals values known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics.inception_score import inception_score


def test_confident_and_balanced_predictions_have_the_maximum_score() -> None:
    assert inception_score(np.tile(np.eye(10), (30, 1)), splits=3) == (pytest.approx(10), pytest.approx(0, abs=1e-12))


def test_uncertain_or_collapsed_predictions_score_1() -> None:
    assert inception_score(np.full((20, 4), 0.25), splits=2) == (pytest.approx(1), pytest.approx(0))
    assert inception_score(np.eye(4)[[2] * 20], splits=2) == (pytest.approx(1), pytest.approx(0))


def test_two_splits_by_hand() -> None:
    # First half: certain, two classes → 2. Second half: one class → 1. Mean 1.5, standard deviation 0.5.
    probabilities = np.eye(2)[[0, 1, 0, 1, 1, 1, 1, 1]]
    assert inception_score(probabilities, splits=2) == (pytest.approx(1.5), pytest.approx(0.5))


def test_a_soft_classifier_by_hand() -> None:
    # Rows (.9, .1) and (.1, .9): p(y) = (.5, .5), KL = .9 ln 1.8 + .1 ln .2.
    expected = np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert inception_score(np.array([[0.9, 0.1], [0.1, 0.9]]), splits=1)[0] == pytest.approx(expected)


@pytest.mark.parametrize("rows", [np.full((4, 2), 0.4), np.array([[1.5, -0.5]]), np.full((4, 2), np.nan), np.ones(4)])
def test_invalid_probabilities_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="sum to 1"):
        inception_score(rows, splits=1)


def test_more_splits_than_images_are_refused() -> None:
    with pytest.raises(InvalidInput, match="splits=5, 4 examples"):
        inception_score(np.eye(4), splits=5)

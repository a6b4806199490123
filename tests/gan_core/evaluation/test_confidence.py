"""Tests the standard error and the interval against independent image sets of the same size."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.evaluation.confidence import bootstrap_distances, distance_interval, normal_interval
from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.metrics.frechet import frechet_distance


def drawn(generator: np.random.Generator, shift: float, count: int, *, kept: bool = True) -> FeatureSet:
    features = (generator.standard_normal((count, 3)) + shift).astype(np.float32)
    rows = features if kept else features[:0]
    return FeatureSet(count, features.mean(axis=0, dtype=np.float64), np.cov(features, rowvar=False), rows)


@pytest.mark.parametrize("kept", [True, False])
def test_the_bootstrap_spread_matches_independent_sets(kept: bool) -> None:
    generator = np.random.default_rng(0)
    known = drawn(generator, 0, 400, kept=False)
    distances = []
    for _ in range(300):
        real = drawn(generator, 0, 400) if kept else known
        fake = drawn(generator, 1, 600)
        distances.append(frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance))
    real = drawn(generator, 0, 400) if kept else known
    replicates = bootstrap_distances(real, drawn(generator, 1, 600), replicates=300, seed=0)
    assert np.std(replicates, ddof=1) == pytest.approx(np.std(distances), rel=0.2)


@pytest.mark.parametrize("shift", [0.7, 0.0])
def test_an_interval_covers_the_mean_score_and_is_never_negative(shift: float) -> None:
    """Coverage is about 95 %, whether the score is partly bias or only bias."""
    generator = np.random.default_rng(0)
    scores, intervals, bare = [], [], []
    for seed in range(150):
        real, fake = drawn(generator, 0, 20), drawn(generator, shift, 20)
        scores.append(frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance))
        replicates = bootstrap_distances(real, fake, replicates=100, seed=seed)
        intervals.append(distance_interval(scores[-1], replicates))
        bare.append(np.quantile(replicates, (0.025, 0.975)))
    truth = float(np.mean(scores))

    def covered(limits: list) -> float:
        return float(np.mean([low <= truth <= high for low, high in limits]))

    assert 0.88 < covered(intervals) <= 0.995
    assert covered(bare) < covered(intervals) or shift > 0
    assert all(0 <= low < score < high for (low, high), score in zip(intervals, scores, strict=True))
    # The interval is asymmetric: its lower end is seldom 0, and its upper part is longer than its lower part.
    assert np.mean([low == 0 for low, _ in intervals]) < 0.1
    assert np.mean([high - score > score - low for (low, high), score in zip(intervals, scores, strict=True)]) > 0.7


def test_a_normal_interval() -> None:
    assert normal_interval(3.0, 0.5) == pytest.approx((3 - 0.98, 3 + 0.98), abs=1e-4)


def test_the_replicates_depend_on_the_seed() -> None:
    generator = np.random.default_rng(0)
    real, fake = drawn(generator, 0, 50), drawn(generator, 1, 50)
    first = bootstrap_distances(real, fake, replicates=5, seed=1)
    assert np.array_equal(first, bootstrap_distances(real, fake, replicates=5, seed=1))
    assert not np.array_equal(first, bootstrap_distances(real, fake, replicates=5, seed=2))


def test_identical_images_give_an_empty_interval() -> None:
    one = FeatureSet(9, np.ones(3), np.zeros((3, 3)), np.ones((9, 3), np.float32))
    replicates = bootstrap_distances(one, one, replicates=3, seed=0)
    assert distance_interval(0.0, replicates) == (0, 0)

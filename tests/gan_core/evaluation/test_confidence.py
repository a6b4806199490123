"""The standard error is the spread that other images of the same number really have."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.evaluation.confidence import frechet_standard_error
from gan_core.evaluation.features import FeatureSet
from gan_core.evaluation.frechet import frechet_distance


def drawn(generator: np.random.Generator, shift: float, count: int, *, kept: bool = True) -> FeatureSet:
    features = (generator.standard_normal((count, 3)) + shift).astype(np.float32)
    rows = features if kept else features[:0]
    return FeatureSet(count, features.mean(axis=0, dtype=np.float64), np.cov(features, rowvar=False), rows)


@pytest.mark.parametrize("kept", [True, False])
def test_against_many_independent_sets(kept: bool) -> None:
    generator = np.random.default_rng(0)
    known = drawn(generator, 0, 400, kept=False)
    distances = []
    for _ in range(300):
        real = drawn(generator, 0, 400) if kept else known
        fake = drawn(generator, 1, 600)
        distances.append(frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance))
    real = drawn(generator, 0, 400) if kept else known
    estimate = frechet_standard_error(real, drawn(generator, 1, 600), replicates=300, seed=0)
    assert estimate == pytest.approx(np.std(distances), rel=0.2)


def test_the_seed_decides() -> None:
    generator = np.random.default_rng(0)
    real, fake = drawn(generator, 0, 50), drawn(generator, 1, 50)
    first = frechet_standard_error(real, fake, replicates=5, seed=1)
    assert first == frechet_standard_error(real, fake, replicates=5, seed=1)
    assert first != frechet_standard_error(real, fake, replicates=5, seed=2)


def test_identical_images_leave_no_doubt() -> None:
    one = FeatureSet(9, np.ones(3), np.zeros((3, 3)), np.ones((9, 3), np.float32))
    assert frechet_standard_error(one, one, replicates=3, seed=0) == 0

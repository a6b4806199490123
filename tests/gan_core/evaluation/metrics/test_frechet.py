"""The distance equals closed forms, and the streaming statistics equal numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance, frechet_distance_infinity


def statistics_of(*batches: np.ndarray) -> GaussianStatistics:
    statistics = GaussianStatistics(batches[0].shape[1])
    for batch in batches:
        statistics.update(batch)
    return statistics


def distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def test_commuting_covariances_have_the_closed_form() -> None:
    # For diagonal covariances: (μ_a − μ_b)² + the sum of (σ_a − σ_b)² = 9 + (3 − 1)² + (2 − 5)² = 22.
    got = frechet_distance(np.zeros(2), np.diag([9.0, 4.0]), np.array([3.0, 0.0]), np.diag([1.0, 25.0]))
    assert got == pytest.approx(22, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "images"), [(1, 10), (2, 50), (64, 1000), (64, 65), (64, 20), (256, 100), (300, 2), (512, 2000)]
)
@pytest.mark.parametrize("decay", [0, 8])
def test_the_distance_equals_the_cost_of_an_optimal_map(size: int, images: int, decay: float) -> None:
    """For a symmetric positive definite S, x → S x is the optimal map from N(0, Σ) to N(0, S Σ S).

    So the distance is E‖S x − x‖² = Tr((S − I) Σ (S − I)) exactly, at any rank of Σ. `decay` spreads the eigenvalues of
    Σ over e^16. With fewer images than dimensions Σ is rank-deficient.
    """
    generator = np.random.default_rng(size * 1000 + images)
    spectrum = np.exp(-decay * np.arange(size) / size)
    rotation = np.linalg.qr(generator.standard_normal((size, size)))[0]
    covariance = statistics_of(generator.standard_normal((images, size)) * spectrum @ rotation).covariance
    root = generator.standard_normal((size, size)) / np.sqrt(size)
    transport = root @ root.T + 0.1 * np.eye(size)
    change = transport - np.eye(size)
    expected = np.trace(change @ covariance @ change) + size * 0.25
    moved = transport @ covariance @ transport
    assert frechet_distance(np.zeros(size), covariance, np.full(size, 0.5), moved) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(np.full(size, 0.5), moved, np.zeros(size), covariance) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("images_a", "images_b"), [(5, 7), (40, 6), (40, 50)])
def test_the_distance_of_orthogonal_subspaces_is_the_sum_of_their_variances(images_a: int, images_b: int) -> None:
    generator = np.random.default_rng(0)
    a, b = np.zeros((images_a, 64)), np.zeros((images_b, 64))
    a[:, :32], b[:, 32:] = generator.standard_normal((images_a, 32)), generator.standard_normal((images_b, 32))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    expected = a.var(axis=0, ddof=1).sum() + b.var(axis=0, ddof=1).sum()
    assert distance(statistics_of(a), statistics_of(b)) == pytest.approx(expected, rel=1e-9)


def test_identical_distributions_and_images_have_distance_0() -> None:
    features = np.random.default_rng(0).standard_normal((100, 32))
    assert distance(statistics_of(features), statistics_of(features)) == pytest.approx(0, abs=1e-12)
    point = statistics_of(np.full((10, 32), 2.0))
    other = statistics_of(np.full((10, 32), 5.0))
    assert distance(point, point) == 0
    assert distance(point, other) == pytest.approx(32 * 9, rel=1e-12)
    cloud = statistics_of(features)
    expected = np.sum((cloud.mean - 2) ** 2) + np.trace(cloud.covariance)
    assert distance(point, cloud) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8), size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1)
)
def test_the_covariance_does_not_depend_on_the_batches(cuts: list[int], size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    batches = [generator.standard_normal((cut, size)) + generator.standard_normal() for cut in [*cuts, 2]]
    whole = np.concatenate(batches)
    expected = np.cov(whole, rowvar=False, ddof=1).reshape(size, size)
    streamed = statistics_of(*batches)
    merged = GaussianStatistics(size)
    for batch in batches:
        merged.merge(statistics_of(batch))
    merged.merge(GaussianStatistics(size))
    for statistics in (streamed, merged):
        assert statistics.count == len(whole)
        np.testing.assert_allclose(statistics.mean, whole.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-10, atol=1e-12)


def test_a_large_common_offset_loses_no_precision() -> None:
    # Sums of squares in one pass would lose 16 digits here; 1e8 + x is exact for these x.
    features = np.random.default_rng(0).integers(-50, 50, (300, 4)) / 16
    shifted = statistics_of(*np.split(features + 1e8, 30))
    np.testing.assert_allclose(shifted.covariance, np.cov(features, rowvar=False), rtol=1e-7, atol=1e-7)


def test_features_of_float32_are_summed_in_float64() -> None:
    features = np.full((1000, 1), 0.1, np.float32)
    statistics = statistics_of(features)
    assert statistics.mean[0] == pytest.approx(float(np.float32(0.1)), rel=1e-14)
    assert statistics.covariance[0, 0] == pytest.approx(0, abs=1e-28)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    features = np.zeros((5, 3))
    features[2, 1] = bad
    with pytest.raises(InvalidInput, match=r"finite.*1 of 5"):
        GaussianStatistics(3).update(features)
    with pytest.raises(InvalidInput, match="finite"):
        frechet_distance(np.zeros(3), np.eye(3), np.array([bad, 0, 0]), np.eye(3))


def test_mismatched_shapes_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"at least two examples. Received: 1"):
        _ = statistics_of(np.zeros((1, 3))).covariance
    with pytest.raises(InvalidInput, match="must have 3 numbers"):
        GaussianStatistics(3).update(np.zeros((5, 4)))
    with pytest.raises(InvalidInput, match="must have 3 numbers"):
        GaussianStatistics(3).merge(GaussianStatistics(4))
    with pytest.raises(InvalidInput, match="one row an example"):
        GaussianStatistics(3).update(np.zeros(3))
    with pytest.raises(InvalidInput, match="must have means"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(4), np.eye(4))


def test_extrapolation_removes_the_bias_of_few_images() -> None:
    """Both sides are N(0, I), so the true distance is 0. The distance of N images exceeds it by about 1/N."""
    size = 32
    features = np.random.default_rng(0).standard_normal((4000, size))
    sampled = statistics_of(features)
    plain = frechet_distance(np.zeros(size), np.eye(size), sampled.mean, sampled.covariance)
    extrapolated = frechet_distance_infinity(np.zeros(size), np.eye(size), features, seed=0)
    assert plain > 0.05
    assert abs(extrapolated) < plain / 10
    assert extrapolated == frechet_distance_infinity(np.zeros(size), np.eye(size), features, seed=0)
    with pytest.raises(InvalidInput, match=r"at least 20 examples. Received: 19"):
        frechet_distance_infinity(np.zeros(size), np.eye(size), features[:19], seed=0)

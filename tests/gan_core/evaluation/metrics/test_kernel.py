"""The kernel distance equals its definition and has expectations known in closed form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics import kernel
from gan_core.evaluation.metrics.kernel import kernel_distance, kernel_standard_error


def test_the_distance_matches_its_definition() -> None:
    generator = np.random.default_rng(0)
    real, generated = generator.standard_normal((6, 3)), generator.standard_normal((6, 3)) + 1

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((sum(a * b for a, b in zip(x, y, strict=True)) / 3 + 1) ** 3)

    def within(x: np.ndarray) -> float:
        return float(np.mean([k(a, b) for a, b in itertools.permutations(x, 2)]))

    between = np.mean([k(a, b) for a, b in itertools.product(real, generated)])
    mean, spread = kernel_distance(real, generated, subsets=3, subset_size=6, seed=0)
    assert mean == pytest.approx(within(real) + within(generated) - 2 * between, rel=1e-12)
    assert spread == pytest.approx(0, abs=1e-12)  # a subset of all images is always the same set


def test_the_distance_of_two_points_equals_a_computation_by_hand() -> None:
    # D = 1, k(x, y) = (x y + 1)³: real all 0 → k = 1; generated all 1 → k = 8; between → 1. MMD² = 1 + 8 − 2 = 7.
    assert kernel_distance(np.zeros((4, 1)), np.ones((5, 1)), subsets=2, subset_size=3, seed=1) == (7.0, 0.0)


def test_the_estimate_is_unbiased() -> None:
    """D = 1, x ~ N(0, 1), y ~ N(μ, 1): E k(x, y) = 1 + 3 E[x]E[y] + 3 E[x²]E[y²] + E[x³]E[y³], by hand below."""
    mu = 0.5
    second, third = 1 + mu**2, mu**3 + 3 * mu
    expected = (1 + 3) + (1 + 3 * mu**2 + 3 * second**2 + third**2) - 2 * (1 + 3 * second)
    generator = np.random.default_rng(0)
    estimates = [
        kernel_distance(
            generator.standard_normal((20, 1)), generator.standard_normal((20, 1)) + mu, 1, subset_size=20, seed=0
        )[0]
        for _ in range(4000)
    ]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - expected) < 4 * error
    assert error < expected / 20


def test_the_standard_error_matches_independent_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ROWS_AT_ONCE", 64)
    generator = np.random.default_rng(0)
    estimates, errors = [], []
    for _ in range(300):
        real, generated = generator.standard_normal((100, 2)), generator.standard_normal((150, 2)) + 0.7
        estimates.append(kernel_distance(real, generated[:100], 1, subset_size=100, seed=0)[0])
        errors.append(kernel_standard_error(real, generated[:100]))
    assert np.median(errors) == pytest.approx(np.std(estimates), rel=0.15)
    assert kernel_standard_error(real, generated) < errors[-1]


def test_the_standard_error_matches_its_definition() -> None:
    real, generated = np.random.default_rng(0).standard_normal((2, 5, 3))

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    variances = []
    for own, other in ((real, generated), (generated, real)):
        influences = [
            np.mean([k(x, y) for position, y in enumerate(own) if position != place])
            - np.mean([k(x, y) for y in other])
            for place, x in enumerate(own)
        ]
        variances.append(np.var(influences, ddof=1))
    assert kernel_standard_error(real, generated) == pytest.approx(np.sqrt(4 * sum(variances) / 5), rel=1e-12)


def test_the_subsets_depend_on_the_seed() -> None:
    features = np.random.default_rng(0).standard_normal((2, 100, 8))
    first = kernel_distance(features[0], features[1], 5, 30, seed=0)
    assert first == kernel_distance(features[0], features[1], 5, 30, seed=0)
    assert first != kernel_distance(features[0], features[1], 5, 30, seed=1)
    assert first[1] > 0


@pytest.mark.parametrize(
    ("real", "generated", "subset_size", "message"),
    [
        (np.zeros((9, 2)), np.zeros((20, 2)), 10, "kid_subset_size=10, 9 real and 20 generated"),
        (np.zeros((20, 2)), np.zeros((9, 2)), 10, "kid_subset_size=10, 20 real and 9 generated"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 1, "kid_subset_size=1"),
        (np.zeros((9, 2)), np.zeros((9, 3)), 2, "same size. Received: 2 and 3"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), 2, "real with NaN"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), 2, "generated with NaN or infinity"),
    ],
)
def test_incomparable_features_are_refused(
    real: np.ndarray, generated: np.ndarray, subset_size: int, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        kernel_distance(real, generated, 2, subset_size, seed=0)

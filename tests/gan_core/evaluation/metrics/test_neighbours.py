"""The neighbour measures equal closed forms and their definitions over all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics import neighbours
from gan_core.evaluation.metrics.neighbours import authenticity, density_coverage, nearest, precision_recall, realism


def normal(seed: int, images: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((images, size)).astype(np.float32)


@pytest.mark.parametrize(
    ("images_real", "images_generated", "size", "k"), [(300, 200, 8, 1), (50, 400, 3, 5), (2100, 1100, 16, 3)]
)
def test_scores_match_their_definitions(images_real: int, images_generated: int, size: int, k: int) -> None:
    real, generated = normal(1, images_real, size), normal(2, images_generated, size) * 1.2
    real_radii = np.sort(cdist(real, real))[:, k]
    generated_radii = np.sort(cdist(generated, generated))[:, k]
    between = cdist(real, generated)
    in_real = between < real_radii[:, None]
    precision, recall = in_real.any(axis=0).mean(), (between < generated_radii).any(axis=1).mean()
    assert precision_recall(real, generated, k) == (precision, recall)
    density, coverage = in_real.sum(axis=0).mean() / k, (between.min(axis=1) < real_radii).mean()
    assert density_coverage(real, generated, k) == (pytest.approx(density), coverage)
    kept = real_radii <= np.median(real_radii)
    np.testing.assert_allclose(
        realism(real, generated, k), (real_radii[kept, None] / between[kept]).max(axis=0), rtol=1e-9
    )
    closest = between.argmin(axis=0)
    first_radii = np.sort(cdist(real, real))[:, 1]
    assert authenticity(real, generated) == (between.min(axis=0) > first_radii[closest]).mean()


def test_density_and_coverage_of_equal_distributions() -> None:
    """Equal distributions: E density = 1 and, for N = M, E coverage = 1 − (N−1)…(N−k) / ((2N−1)…(2N−k)).

    Reference: Naeem et al. 2020, arXiv 2002.09797, section 3.
    """
    images, k, trials = 200, 5, 40
    expected = 1 - math.prod((images - i) / (2 * images - i) for i in range(1, k + 1))
    values = np.array(
        [density_coverage(normal(2 * i, images, 8), normal(2 * i + 1, images, 8), k) for i in range(trials)]
    )
    errors = values.std(axis=0) / np.sqrt(trials)
    assert abs(values[:, 0].mean() - 1) < 4 * errors[0]
    assert abs(values[:, 1].mean() - expected) < 4 * errors[1]
    assert errors[1] < 0.005


def test_scores_of_points_on_a_line_equal_a_computation_by_hand() -> None:
    # The real images are 0, 1, 3 and 7 on a line. Their nearest other images have the distances 1, 1, 2 and 4.
    real = np.array([[0.0], [1.0], [3.0], [7.0]])
    generated = np.array([[0.5], [4.5], [20.0]])
    # 0.5 lies in the balls of 0 and 1; 4.5 in those of 3 and 7; 20 in none.
    # The generated images' own radii are 4, 4, 15.5: 0, 1, 3 lie within 4 of 0.5 and 7 within 4 of 4.5.
    assert precision_recall(real, generated, k=1) == (2 / 3, 1.0)
    assert density_coverage(real, generated, k=1) == (pytest.approx(4 / 3), 1.0)
    # The median radius is 1.5, so only the balls of 0 and 1 with radius 1 are kept.
    np.testing.assert_allclose(realism(real, generated, k=1), [2, 1 / 3.5, 1 / 19])
    # Nearest training images: 0 (0.5 < 1), 3 (1.5 < 2), 7 (13 > 4). So one of the three is not a copy.
    assert authenticity(real, generated) == 1 / 3


def test_copies_and_a_collapse_have_extreme_scores() -> None:
    train = normal(0, 100, 16)
    assert authenticity(train, train[:50]) == 0
    assert authenticity(train, train[:50] + 100) == 1
    assert (realism(train, train) > 1000).mean() == 0.5  # the half whose balls are kept
    collapsed = np.repeat(train[:1], 50, axis=0)
    assert precision_recall(train, collapsed) == (1.0, 0.0)
    # If all real and generated images are identical, the balls have radius 0 and contain nothing.
    assert precision_recall(collapsed, collapsed) == (0.0, 0.0)
    assert density_coverage(collapsed, collapsed) == (0.0, 0.0)
    assert authenticity(collapsed, collapsed) == 0.0
    assert (realism(collapsed, collapsed) == 0).all()


def test_nearest_distances_are_exact_and_ties_keep_their_order() -> None:
    # At an offset of 1e6 the expanded square is off by about 1e-3; the true distances are 0, 1/8, 1/4.
    pool = 1e6 + np.array([[0.5, 0], [0.25, 0], [0.125, 0], [0.125, 0], [9, 9]])
    positions, distances = nearest(np.array([[1e6 + 0.125, 1e6]]), pool, 4)
    assert positions.tolist() == [[2, 3, 1, 0]]
    assert distances.tolist() == [[0, 0, 0.125, 0.375]]


def test_the_result_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = normal(1, 120, 4), normal(2, 90, 4)
    whole = (precision_recall(real, generated), density_coverage(real, generated), nearest(generated, real, 7)[0])
    monkeypatch.setattr(neighbours, "BLOCK_DISTANCES", 1000)
    blocks = (precision_recall(real, generated), density_coverage(real, generated), nearest(generated, real, 7)[0])
    assert whole[:2] == blocks[:2]
    assert (whole[2] == blocks[2]).all()


@pytest.mark.parametrize("measure", [precision_recall, density_coverage, realism])
def test_too_few_images_for_k_neighbours_are_refused(measure: object) -> None:
    with pytest.raises(InvalidInput, match=r"more than k examples.*k=5, real of shape \(5, 2\)"):
        measure(np.zeros((5, 2)), np.zeros((9, 2)), 5)
    with pytest.raises(InvalidInput, match="more than k examples"):
        measure(np.zeros((9, 2)), np.zeros((5, 2)), 5)
    with pytest.raises(InvalidInput, match="of one size"):
        measure(np.zeros((9, 2)), np.zeros((9, 3)), 5)
    with pytest.raises(InvalidInput, match="generated with NaN"):
        measure(np.zeros((9, 2)), np.full((9, 2), np.nan), 5)


def test_a_pool_that_is_too_small_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"k=3.*pool of shape"):
        nearest(np.zeros((4, 2)), np.zeros((2, 2)), 3)

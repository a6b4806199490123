"""Scores from nearest neighbours in feature space: fidelity, diversity, memorisation.

Distances are Euclidean. They are computed for one block of images at a time, so the memory use does not grow with the
product of the numbers of real and generated images. A point is inside a ball if its distance is strictly less than the
radius. The papers differ on this; the strict inequality is that of the code by Naeem et al. 2020, so values agree with
it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics.frechet import check_features

BLOCK_DISTANCES = 2**23  # 64 MB of float64

Features = NDArray[np.floating]


def precision_recall(real: Features, generated: Features, k: int = 3) -> tuple[float, float]:
    """Returns precision and recall, both in [0, 1].

    Precision is the share of generated images inside the real manifold: an image is inside if it is nearer to some real
    image than that image's k-th nearest real neighbour. Recall is the share of real images inside the generated
    manifold.

    Args:
        real: [N, D].
        generated: [M, D].
        k: the neighbour that sets the radius of a ball.

    Raises:
        InvalidInput: there are not more than k real or generated images, the two D differ, or a value is not finite.

    Reference: Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 and 2.
    """
    real, generated = _check(real, generated, k)
    in_real, _ = _balls(real, _radii(real, k), generated)
    in_generated, _ = _balls(generated, _radii(generated, k), real)
    return float((in_real > 0).mean()), float((in_generated > 0).mean())


def density_coverage(real: Features, generated: Features, k: int = 5) -> tuple[float, float]:
    """Returns density (at least 0; 1 on average if the distributions agree) and coverage (in [0, 1]).

    The ball of a real image reaches to its k-th nearest real neighbour. Density is the mean number of balls that
    contain a generated image, divided by k. Coverage is the share of balls that contain a generated image.

    Args:
        real: [N, D].
        generated: [M, D].
        k: the neighbour that sets the radius of a ball.

    Raises:
        InvalidInput: as for `precision_recall`.

    Reference: Naeem et al. 2020, arXiv 2002.09797, equations 3 and 4.
    """
    real, generated = _check(real, generated, k)
    in_real, hits = _balls(real, _radii(real, k), generated)
    return float(in_real.mean() / k), float((hits > 0).mean())


def realism(real: Features, generated: Features, k: int = 3) -> NDArray[np.float64]:
    """Returns the realism of each generated image, [M] float64 in [0, ∞]; above 1 inside the real manifold.

    R(g) = max over real r of (distance from r to its k-th real neighbour) / ‖g − r‖. Only the half of the real images
    with the smallest radii counts, because the balls of outliers are too large to be informative.

    Args:
        real: [N, D].
        generated: [M, D].
        k: the neighbour that sets the radius of a ball.

    Raises:
        InvalidInput: as for `precision_recall`.

    Reference: Kynkäänniemi et al. 2019, arXiv 1904.06991, equation 3.
    """
    real, generated = _check(real, generated, k)
    radii = _radii(real, k)
    kept = radii <= np.median(radii)
    real, squared_radii = real[kept], radii[kept] ** 2
    scores = np.empty(len(generated))
    for start, squared in _blocks(generated, real):
        with np.errstate(over="ignore"):
            ratios = squared_radii / np.maximum(squared, np.finfo(np.float64).tiny)
        scores[start : start + len(squared)] = np.sqrt(ratios.max(axis=1))
    return scores


def authenticity(train: Features, generated: Features) -> float:
    """Returns the share of generated images that are not copies of training images, in [0, 1].

    A generated image counts as a copy if it is at least as near to its nearest training image as that image is to its
    nearest other training image.

    Args:
        train: [N, D].
        generated: [M, D].

    Raises:
        InvalidInput: as for `precision_recall` with k = 1.

    Reference: Alaa et al. 2022, arXiv 2102.08921.
    """
    train, generated = _check(train, generated, 1)
    positions, distances = nearest(generated, train, 1)
    return float((distances[:, 0] > _radii(train, 1)[positions[:, 0]]).mean())


def nearest(queries: Features, pool: Features, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Finds the k images of the pool that are nearest to each query, nearest first; ties are in the pool's order.

    Args:
        queries: [Q, D].
        pool: [P, D].
        k: number of neighbours.

    Returns:
        Positions in the pool [Q, k] and distances [Q, k]; equal features are at a distance of exactly 0.

    Raises:
        InvalidInput: the pool has fewer than k images, the two D differ, or a value is not finite.
    """
    queries, pool = check_features(queries, "queries"), check_features(pool, "pool")
    if queries.shape[1] != pool.shape[1] or not 1 <= k <= len(pool):
        raise InvalidInput(
            f"The k nearest neighbours need features of one size and a pool of at least k examples. "
            f"Received: k={k}, queries of shape {queries.shape}, pool of shape {pool.shape}"
        )
    positions = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    for start, squared in _blocks(queries, pool):
        rows = slice(start, start + len(squared))
        chosen = np.sort(np.argpartition(squared, k - 1, axis=1)[:, :k], axis=1)
        # The expanded square is imprecise for close images, so the selected distances are computed again.
        measured = np.stack([np.linalg.norm(queries[rows] - pool[column], axis=1) for column in chosen.T], axis=1)
        order = np.argsort(measured, axis=1, kind="stable")
        positions[rows] = np.take_along_axis(chosen, order, axis=1)
        distances[rows] = np.take_along_axis(measured, order, axis=1)
    return positions, distances


def _check(real: Features, generated: Features, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    real, generated = check_features(real, "real"), check_features(generated, "generated")
    if real.shape[1] != generated.shape[1] or not 1 <= k < min(len(real), len(generated)):
        raise InvalidInput(
            f"The k-th neighbour needs features of one size and more than k examples of either kind. "
            f"Received: k={k}, real of shape {real.shape}, generated of shape {generated.shape}"
        )
    return real, generated


def _radii(features: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Returns the distance from each image to its k-th nearest other image, [N]."""
    return nearest(features, features, k + 1)[1][:, k]


def _balls(
    centres: NDArray[np.float64], radii: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts, for each point, the balls that contain it, and for each ball, the points in it."""
    balls_of_point = np.empty(len(points), np.int64)
    points_of_ball = np.zeros(len(centres), np.int64)
    for start, squared in _blocks(points, centres):
        inside = squared < radii**2
        balls_of_point[start : start + len(squared)] = inside.sum(axis=1)
        points_of_ball += inside.sum(axis=0)
    return balls_of_point, points_of_ball


def _blocks(x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yields blocks (first row, [rows, len(y)]) of squared distances ‖x‖² + ‖y‖² − 2 x·y from rows of x to all of y."""
    squared_norms = (y * y).sum(axis=1)
    rows = min(max(BLOCK_DISTANCES // len(y), 1), 1024)
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        squared = -2 * block @ y.T
        squared += squared_norms
        squared += (block * block).sum(axis=1, keepdims=True)
        yield start, np.maximum(squared, 0, out=squared)

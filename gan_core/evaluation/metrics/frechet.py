"""Fréchet distance between two sets of features: their Gaussian statistics, and the distance of two Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gan_core.errors import InvalidInput


class GaussianStatistics:
    """Mean and covariance of features that arrive in batches; memory does not grow with their number.

    Batches are joined as in Chan et al. 1983, "Algorithms for computing the sample variance", equation 2.1: each batch
    is centred on its own mean, and the shift between the means is added as another row. All computations are in
    float64.

    Attributes:
        count: number of features seen so far.
        mean: [D] float64.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(size)
        # BLAS updates the upper triangle of a column-major matrix in place, without a temporary D×D matrix for each
        # batch.
        self._scatter = np.zeros((size, size), order="F")

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state: `count`, `mean` [D] and `scatter` [D, D] float64."""
        return {"count": np.asarray(self.count), "mean": self.mean, "scatter": self._scatter}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Returns the statistics with the state `arrays`."""
        statistics = cls(0)
        statistics.count, statistics.mean = int(arrays["count"]), arrays["mean"]
        statistics._scatter = arrays["scatter"]
        return statistics

    def update(self, features: ArrayLike) -> None:
        """Adds `features` [B, D].

        Raises:
            InvalidInput: D differs, or a value is not finite.
        """
        batch = check_features(features, "features")
        if batch.shape[1] != len(self.mean):
            raise InvalidInput(f"A feature must have {len(self.mean)} numbers. Received: shape {batch.shape}")
        mean = batch.mean(axis=0)
        self._join(len(batch), mean, batch - mean)

    def merge(self, other: GaussianStatistics) -> None:
        """Adds the features that `other` has seen.

        Raises:
            InvalidInput: D differs.
        """
        if other.mean.shape != self.mean.shape:
            raise InvalidInput(f"A feature must have {len(self.mean)} numbers. Received: {len(other.mean)}")
        if other.count:
            self._scatter += other._scatter
            self._join(other.count, other.mean, np.empty((0, len(self.mean))))

    def _join(self, count: int, mean: NDArray[np.float64], centred: NDArray[np.float64]) -> None:
        from scipy.linalg.blas import dsyrk

        total = self.count + count
        shift = mean - self.mean
        rows = np.concatenate([centred, [shift * np.sqrt(self.count * count / total)]])
        self._scatter = dsyrk(1.0, rows.T, beta=1.0, c=self._scatter, overwrite_c=True)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance [D, D] float64, divided by count − 1.

        Raises:
            InvalidInput: fewer than two features were seen.
        """
        if self.count < 2:
            raise InvalidInput(f"A covariance needs at least two examples. Received: {self.count}")
        upper = np.triu(self._scatter)
        covariance: NDArray[np.float64] = (upper + np.triu(upper, 1).T) / (self.count - 1)
        return covariance


def frechet_distance(
    mean_a: NDArray[np.float64],
    covariance_a: NDArray[np.float64],
    mean_b: NDArray[np.float64],
    covariance_b: NDArray[np.float64],
) -> float:
    """Returns the squared Fréchet distance of two Gaussians, ‖μ_a − μ_b‖² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½).

    With Σ = F Fᵀ, Tr((Σ_a Σ_b)^½) is the sum of the singular values of F_aᵀ F_b. The factors F come from a pivoted
    Cholesky decomposition, which exists for every positive semidefinite matrix and has as many columns as its rank. So
    the method also works with fewer images than dimensions, where it is faster, and with a zero matrix (all images
    identical).

    Args:
        mean_a: μ_a [D].
        covariance_a: Σ_a [D, D].
        mean_b: μ_b [D].
        covariance_b: Σ_b [D, D].

    Raises:
        InvalidInput: the shapes do not match, or a value is not finite.

    Reference: Heusel et al. 2017, arXiv 1706.08500, equation 6.
    """
    shapes = [np.shape(array) for array in (mean_a, covariance_a, mean_b, covariance_b)]
    size = len(np.atleast_1d(mean_a))
    if shapes != [(size,), (size, size)] * 2:
        raise InvalidInput(f"The two Gaussians must have means [D] and covariances [D, D]. Received: shapes {shapes}")
    if not all(np.isfinite(array).all() for array in (mean_a, covariance_a, mean_b, covariance_b)):
        raise InvalidInput("The statistics of the features must be finite. Received: NaN or infinity")
    product = _factor(covariance_a).T @ _factor(covariance_b)
    if product.shape[0] > product.shape[1]:
        product = product.T
    # The eigenvalues are the squared singular values. They take a quarter of the time of an SVD at D = 2048.
    squares = np.linalg.eigvalsh(product @ product.T)
    overlap = np.sqrt(np.maximum(squares, 0)).sum()
    shift = np.asarray(mean_a, np.float64) - np.asarray(mean_b, np.float64)
    distance = shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    return max(float(distance), 0.0)


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns F [D, rank] with F Fᵀ = covariance."""
    from scipy.linalg.lapack import dpstrf

    packed, pivots, rank, _ = dpstrf(np.asarray(covariance, np.float64), lower=True)
    factor = np.empty((len(pivots), rank))
    factor[pivots - 1] = np.tril(packed[:, :rank])
    return factor


def frechet_distance_infinity(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    features: NDArray[np.floating],
    seed: int,
) -> float:
    """Returns the Fréchet distance extrapolated to infinitely many generated images: the intercept of a line in 1/N.

    The distance computed from N images has an upward bias that is about proportional to 1/N. The line is fitted to the
    distances of 15 random subsets, whose sizes range from a tenth of the images to all of them.

    Args:
        mean: mean of the real images' features, [D].
        covariance: covariance of the real images' features, [D, D].
        features: features of the generated images, [N, D].
        seed: seed of the subsets.

    Raises:
        InvalidInput: there are fewer than 20 generated images, or as for `frechet_distance`.

    Reference: Chong and Forsyth 2020, arXiv 1911.07023, section 4.
    """
    features = check_features(features, "generated")
    if len(features) < 20:
        raise InvalidInput(f"The extrapolated distance needs at least 20 examples. Received: {len(features)}")
    generator = np.random.default_rng(seed)
    sizes = np.linspace(len(features) / 10, len(features), 15).astype(int)
    distances = []
    for size in sizes:
        statistics = GaussianStatistics(features.shape[1])
        statistics.update(features[generator.permutation(len(features))[:size]])
        distances.append(frechet_distance(mean, covariance, statistics.mean, statistics.covariance))
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def check_features(features: ArrayLike, name: str) -> NDArray[np.float64]:
    """Returns the features as float64 [N, D].

    Raises:
        InvalidInput: they are not a matrix, are empty, or contain a value that is not finite; the message uses `name`.
    """
    matrix = np.asarray(features, np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InvalidInput(
            f"Features must be a matrix with one row an example. Received: {name} of shape {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        bad = int((~np.isfinite(matrix).all(axis=1)).sum())
        raise InvalidInput(f"Features must be finite. Received: {name} with NaN or infinity in {bad} of {len(matrix)}")
    return matrix

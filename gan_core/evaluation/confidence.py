"""How sure a score is: what it would have been with other images of the same number."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.features import FeatureSet
from gan_core.evaluation.frechet import GaussianStatistics, frechet_distance

COVERED = 0.95
"""Share of repetitions of which an interval holds the mean."""


def bootstrap_distances(real: FeatureSet, generated: FeatureSet, replicates: int, seed: int) -> NDArray[np.float64]:
    """Fréchet distances [replicates] of sets that are drawn anew, with replacement, from the images of either side.

    A set of which only statistics are known stays as it is; of a larger one than FEATURES_KEPT the kept images are
    drawn, which errs on the wide side. The distance of a replicate is biased upwards, as a smaller set's would be; how
    the replicates spread about their mean is not. Their standard deviation is the distance's standard error.

    Reference: Efron 1979, "Bootstrap methods: another look at the jackknife", section 2.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    distances = []
    for _ in range(replicates):
        real_mean, real_covariance = _resampled(real, generator)
        mean, covariance = _resampled(generated, generator)
        distances.append(frechet_distance(real_mean, real_covariance, mean, covariance))
    return np.array(distances)


def percentile_interval(value: float, replicates: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the replicates, moved so that their mean is the value: their bias is taken out.

    So it says where the score of other images of the same number would lie, not where that of infinitely many would.
    """
    tail = (1 - COVERED) / 2
    low, high = value + np.quantile(replicates - replicates.mean(), (tail, 1 - tail))
    return float(low), float(high)


def normal_interval(value: float, standard_error: float) -> tuple[float, float]:
    """The middle 95 % of a normal distribution about the value."""
    reach = NormalDist().inv_cdf((1 + COVERED) / 2) * standard_error
    return value - reach, value + reach


def _resampled(images: FeatureSet, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows = len(images.features)
    if rows == 0:
        return images.mean, images.covariance
    statistics = GaussianStatistics(images.features.shape[1])
    statistics.update(images.features[generator.integers(rows, size=rows)])
    return statistics.mean, statistics.covariance

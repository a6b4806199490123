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
    drawn, which errs on the wide side. The distance of a replicate is biased upwards, as a smaller set's would be. The
    replicates' standard deviation is the distance's standard error, on the wide side where that bias is most of it.

    Reference: Efron 1979, "Bootstrap methods: another look at the jackknife", section 2.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    distances = []
    for _ in range(replicates):
        real_mean, real_covariance = _resampled(real, generator)
        mean, covariance = _resampled(generated, generator)
        distances.append(frechet_distance(real_mean, real_covariance, mean, covariance))
    return np.array(distances)


def distance_interval(value: float, replicates: NDArray[np.float64]) -> tuple[float, float]:
    """A 95 % interval about a Fréchet distance, from the quantiles of its replicates' square roots.

    With q the quantiles of √d* less the median of √d*, the interval is (√d + q(0.025))² to (√d + q(0.975))², where a
    root is at least 0. So the ends are never negative, and the value lies between them. Two properties of the bootstrap
    are the reason:

    - Replicates d* lie above d, because resampling adds its own bias. Subtracting the median removes it.
    - Larger distances vary more, so the replicates also vary more than d does. Their roots do not, as the root of a
      noncentral chi-squared variable does not.

    The interval holds the mean score of other images of the same number. The score's own bias, which more images would
    lower, is part of that mean.

    Args:
        value: the score d, at least 0.
        replicates: bootstrapped distances d*, each at least 0.

    Reference: Efron and Tibshirani 1993, "An introduction to the bootstrap", section 12.6 (intervals on a transformed
    scale). BCa intervals of chapter 14 do not apply: their bias correction needs replicates on both sides of the value.
    """
    tail = (1 - COVERED) / 2
    roots = np.sqrt(replicates)
    low, high = np.maximum(np.sqrt(value) + np.quantile(roots - np.median(roots), (tail, 1 - tail)), 0) ** 2
    return min(float(low), value), max(float(high), value)  # the root of a square differs in its last digit


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

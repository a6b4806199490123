"""Uncertainty of a score: how much it varies between image sets of the same size."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance

COVERED = 0.95
"""Confidence level of the intervals: the share of repetitions in which they cover the mean score."""


def bootstrap_distances(real: FeatureSet, generated: FeatureSet, replicates: int, seed: int) -> NDArray[np.float64]:
    """Returns Fréchet distances [replicates] between bootstrap samples of the real and of the generated images.

    The samples are drawn with replacement. A set that is known only by its statistics is not resampled. For a set of
    more than FEATURES_KEPT images, only the kept ones are resampled, which overestimates the spread. Each replicate is
    biased upwards, as the distance of a smaller set would be. The replicates' standard deviation estimates the standard
    error of the distance; the estimate is too large if most of the distance is bias.

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
    """Returns a 95 % interval around a Fréchet distance, from the quantiles of its replicates' square roots.

    With q the quantiles of √d* − median(√d*), the interval is from (√d + q(0.025))² to (√d + q(0.975))², where a
    negative √d + q counts as 0. So the ends are never negative, and the value lies between them. Two properties of the
    bootstrap are the reason for this form:

    - Replicates d* lie above d, because resampling adds its own bias. Subtracting the median removes it.
    - Larger distances vary more, so the replicates also vary more than d does. The spread of their square roots does
      not grow, as for the root of a noncentral chi-squared variable.

    The interval covers the mean score of other image sets of the same size. The score's own bias, which more images
    would lower, is part of that mean.

    Args:
        value: the score d, at least 0.
        replicates: bootstrapped distances d*, each at least 0.

    Reference: Efron and Tibshirani 1993, "An introduction to the bootstrap", section 12.6 (intervals on a transformed
    scale). BCa intervals of chapter 14 do not apply: their bias correction needs replicates on both sides of the value.
    """
    tail = (1 - COVERED) / 2
    roots = np.sqrt(replicates)
    low, high = np.maximum(np.sqrt(value) + np.quantile(roots - np.median(roots), (tail, 1 - tail)), 0) ** 2
    return min(float(low), value), max(float(high), value)  # squaring the root can change the last digit


def normal_interval(value: float, standard_error: float) -> tuple[float, float]:
    """Returns the central 95 % interval of a normal distribution around the value."""
    reach = NormalDist().inv_cdf((1 + COVERED) / 2) * standard_error
    return value - reach, value + reach


def _resampled(images: FeatureSet, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows = len(images.features)
    if rows == 0:
        return images.mean, images.covariance
    statistics = GaussianStatistics(images.features.shape[1])
    statistics.update(images.features[generator.integers(rows, size=rows)])
    return statistics.mean, statistics.covariance

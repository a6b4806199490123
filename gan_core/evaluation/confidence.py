"""How sure a score is: what it would have been with other images of the same number."""

from __future__ import annotations

import numpy as np

from gan_core.evaluation.features import FeatureSet
from gan_core.evaluation.frechet import GaussianStatistics, frechet_distance


def frechet_standard_error(real: FeatureSet, generated: FeatureSet, replicates: int, seed: int) -> float:
    """Bootstrap standard error of the Fréchet distance over the real and the generated images.

    Both sets are drawn anew with replacement `replicates` times. A set of which only statistics are known stays as it
    is; of a larger one than FEATURES_KEPT the kept images are drawn, which errs on the wide side. The distance of a
    replicate is biased upwards, as a smaller set's would be; its standard deviation is not.

    Reference: Efron 1979, "Bootstrap methods: another look at the jackknife", section 2.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    distances = []
    for _ in range(replicates):
        real_mean, real_covariance = _resampled(real, generator)
        mean, covariance = _resampled(generated, generator)
        distances.append(frechet_distance(real_mean, real_covariance, mean, covariance))
    return float(np.std(distances, ddof=1))


def _resampled(images: FeatureSet, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows = len(images.features)
    if rows == 0:
        return images.mean, images.covariance
    statistics = GaussianStatistics(images.features.shape[1])
    statistics.update(images.features[generator.integers(rows, size=rows)])
    return statistics.mean, statistics.covariance

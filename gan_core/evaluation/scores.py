"""Computes scores from features."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.features import ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance, frechet_distance_infinity
from gan_core.evaluation.metrics.inception_score import inception_score
from gan_core.evaluation.metrics.kernel import kernel_distance
from gan_core.evaluation.metrics.neighbours import authenticity, density_coverage, nearest, precision_recall
from gan_core.evaluation.requirements import FEWEST_TO_EXTRAPOLATE

Metric = Literal["fid", "kid", "prdc", "memorisation"]


def score(
    real: FeatureSet,
    generated: FeatureSet,
    training: FeatureSet | None,
    extractor: Extractor,
    *,
    metrics: Collection[Metric],
    kid_subsets: int,
    kid_subset_size: int,
    seed: int,
) -> dict[str, float]:
    """Computes the scores of one set of generated images, by metric.

    Args:
        real: reference images. If only their statistics are known, only the Fréchet distances and the diversity are
            computed.
        generated: generated images.
        training: images that the generator was trained on; None if they are unknown or are `real`.
        extractor: the extractor of the features.
        metrics: groups of scores to compute.
        kid_subsets: number of subsets of the kernel distance.
        kid_subset_size: number of real images, and of generated images, in such a subset.
        seed: seed of the random subsets.

    Raises:
        InvalidInput: there are too few images for a score, or features have different sizes.
    """
    scores: dict[str, float] = {}
    if "fid" in metrics:
        scores["fd"] = frechet_distance(real.mean, real.covariance, generated.mean, generated.covariance)
        if len(generated.features) >= FEWEST_TO_EXTRAPOLATE:
            scores["fd_infinity"] = frechet_distance_infinity(real.mean, real.covariance, generated.features, seed)
        if np.trace(real.covariance) > 0:
            scores["diversity"] = _diversity(real, generated)
    if len(real.features) == 0:
        return scores
    if "kid" in metrics:
        scores["kid"], _ = kernel_distance(real.features, generated.features, kid_subsets, kid_subset_size, seed)
    if "prdc" in metrics:
        scores["precision"], scores["recall"] = precision_recall(real.features, generated.features)
        scores["density"], scores["coverage"] = density_coverage(real.features, generated.features)
    if isinstance(extractor, ClassProbabilities):
        probabilities = extractor.probabilities(generated.features)
        if extractor.accuracy is not None:  # its classes are those of the data, not Inception's
            scores["class_shift"] = _class_shift(extractor.probabilities(real.features), probabilities)
        scores["inception_score"], _ = inception_score(probabilities, splits=min(10, len(probabilities)))
    if "memorisation" in metrics and training is not None:
        scores["authenticity"] = authenticity(training.features, generated.features)
        scores["train_gap"] = _train_gap(training, real, generated)
        scores["train_preference"] = _train_preference(training, real, generated)
    return scores


def _diversity(real: FeatureSet, generated: FeatureSet) -> float:
    """Returns √(tr Σ_generated / tr Σ_real), the ratio of the root mean squared distances within each set."""
    return float(np.sqrt(np.trace(generated.covariance) / np.trace(real.covariance)))


def _class_shift(real: NDArray[np.float32], generated: NDArray[np.float32]) -> float:
    """Returns the total variation ½ Σ |p − q| between the predicted class shares of real and generated images."""
    classes = real.shape[1]
    shares = [np.bincount(rows.argmax(axis=1), minlength=classes) / len(rows) for rows in (real, generated)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _train_gap(training: FeatureSet, unseen: FeatureSet, generated: FeatureSet) -> float:
    """Returns the Fréchet distance to unseen images minus that to the same number of training images.

    Both distances have the same bias, so without memorisation the gap is 0 on average.
    """
    rows = min(len(training.features), len(unseen.features))
    distances = []
    for images in (unseen, training):
        statistics = GaussianStatistics(images.features.shape[1])
        statistics.update(images.features[:rows])
        distances.append(frechet_distance(statistics.mean, statistics.covariance, generated.mean, generated.covariance))
    return distances[0] - distances[1]


def _train_preference(training: FeatureSet, unseen: FeatureSet, generated: FeatureSet) -> float:
    """Returns the share of generated images that are nearer to a training image than to an unseen image.

    The same number of training and unseen images is used. Both come from one distribution, so the share is about one
    half without memorisation. A tie counts half.
    """
    rows = min(len(training.features), len(unseen.features))
    distances = [nearest(generated.features, images.features[:rows], 1)[1][:, 0] for images in (training, unseen)]
    return float(((distances[0] < distances[1]) + 0.5 * (distances[0] == distances[1])).mean())

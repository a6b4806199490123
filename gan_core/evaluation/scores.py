"""Computes scores from features, and defines the name and the meaning of each score."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.features import ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance, frechet_distance_infinity
from gan_core.evaluation.metrics.inception_score import inception_score
from gan_core.evaluation.metrics.kernel import kernel_distance
from gan_core.evaluation.metrics.neighbours import authenticity, density_coverage, nearest, precision_recall

Metric = Literal["fid", "kid", "prdc", "memorisation"]
FEWEST_TO_EXTRAPOLATE = 200


@dataclass(frozen=True)
class Meaning:
    """Explanation of a figure for readers who do not know it.

    Attributes:
        title: its name in words.
        better: which values are good.
        sentence: what it measures.
    """

    title: str
    better: Literal["lower", "higher", "near 0", "near 0.5", "near 1"]
    sentence: str


MEANINGS: dict[str, Meaning] = {
    "target_ssim": Meaning(
        "Structural similarity",
        "higher",
        "Likeness to the target in brightness, contrast and pattern nearby; 1 is equal.",
    ),
    "target_psnr": Meaning(
        "Peak signal-to-noise ratio",
        "higher",
        "Likeness to the input's own target by squared differences, in decibels; mean over the images.",
    ),
    "target_l1": Meaning(
        "Distance to the target",
        "lower",
        "Mean absolute difference from the input's own target, in grey levels of 255.",
    ),
    "fd": Meaning(
        "Fréchet distance", "lower", "How far generated and real images are apart as a whole: look and variety in one."
    ),
    "fd_infinity": Meaning(
        "Fréchet distance, extrapolated", "lower", "The same for infinitely many generated images, without most bias."
    ),
    "kid": Meaning("Kernel distance", "lower", "Like the Fréchet distance, and unbiased at any number of images."),
    "precision": Meaning("Precision", "higher", "Share of generated images that lie among the real ones."),
    "recall": Meaning("Recall", "higher", "Share of real images that lie among the generated ones."),
    "density": Meaning("Density", "near 1", "How densely generated images fill the places where real ones are."),
    "coverage": Meaning("Coverage", "higher", "Share of real images that have a generated one nearby."),
    "diversity": Meaning("Diversity", "near 1", "Spread of the generated images, as a share of the real ones'."),
    "class_shift": Meaning("Class shift", "lower", "Share of images in the wrong class for the real classes' shares."),
    "class_agreement": Meaning(
        "Class agreement", "higher", "Share of generated images that are taken for the class that was asked for."
    ),
    "inception_score": Meaning(
        "Inception score", "higher", "How sure and how varied the classes are. Sees no real image."
    ),
    "authenticity": Meaning(
        "Authenticity", "higher", "Share of generated images that are no near copy of a training image."
    ),
    "train_gap": Meaning(
        "Training gap",
        "near 0",
        "Fréchet distance to unseen images less that to as many training images. Clearly above 0: learned by heart.",
    ),
    "train_preference": Meaning(
        "Training preference", "near 0.5", "Share of generated images nearer to a training image than to an unseen one."
    ),
}
"""The figures, in display order. For paired data, the comparisons with the target come first."""


def score_name(metric: str, extractor: str) -> str:
    """The score's name. Only the Fréchet distance on the 2015 Inception's features is called FID.

    The name of a distance to a target has no extractor, because it compares pixels, not features.
    """
    if metric.startswith("target_"):
        return metric
    if extractor == "inception" and metric in ("fd", "fd_infinity"):
        return metric.replace("fd", "fid")
    return f"{metric}_{extractor}"


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
    """Computes the figures of one set of generated images, by metric.

    Args:
        real: reference images. If only their statistics are known, only the Fréchet distances and the diversity are
            computed.
        generated: generated images.
        training: images the generator was trained on, other than `real`; None if unknown.
        extractor: the extractor of the features.
        metrics: groups of figures to compute.
        kid_subsets: number of subsets of the kernel distance.
        kid_subset_size: number of real images, and of generated images, in such a subset.
        seed: seed of the random subsets.

    Raises:
        InvalidInput: there are too few images for a figure, or features have different sizes.
    """
    figures: dict[str, float] = {}
    if "fid" in metrics:
        figures["fd"] = frechet_distance(real.mean, real.covariance, generated.mean, generated.covariance)
        if len(generated.features) >= FEWEST_TO_EXTRAPOLATE:
            figures["fd_infinity"] = frechet_distance_infinity(real.mean, real.covariance, generated.features, seed)
        if np.trace(real.covariance) > 0:
            figures["diversity"] = _diversity(real, generated)
    if len(real.features) == 0:
        return figures
    if "kid" in metrics:
        figures["kid"], _ = kernel_distance(real.features, generated.features, kid_subsets, kid_subset_size, seed)
    if "prdc" in metrics:
        figures["precision"], figures["recall"] = precision_recall(real.features, generated.features)
        figures["density"], figures["coverage"] = density_coverage(real.features, generated.features)
    if isinstance(extractor, ClassProbabilities):
        shown = extractor.probabilities(generated.features)
        if extractor.accuracy is not None:  # its classes are those of the data, not Inception's
            figures["class_shift"] = _class_shift(extractor.probabilities(real.features), shown)
        figures["inception_score"], _ = inception_score(shown, splits=min(10, len(shown)))
    if "memorisation" in metrics and training is not None:
        figures["authenticity"] = authenticity(training.features, generated.features)
        figures["train_gap"] = _train_gap(training, real, generated)
        figures["train_preference"] = _train_preference(training, real, generated)
    return {metric: figures[metric] for metric in MEANINGS if metric in figures}


def decimals(value: float, uncertainty: float | None) -> int:
    """Number of decimals that show two digits of the uncertainty, or four of the value without one; at most 6."""
    smallest, digits = (uncertainty, 2) if uncertainty else (value, 4)
    if smallest == 0 or not math.isfinite(smallest):
        return 2
    return min(max(digits - 1 - math.floor(math.log10(abs(smallest))), 0), 6)


def shown(value: float, digits: int) -> str:
    """The value with `digits` decimals; a value that rounds to 0 has no sign."""
    return f"{value:z.{digits}f}"


def _diversity(real: FeatureSet, generated: FeatureSet) -> float:
    """√(tr Σ_generated / tr Σ_real): the ratio of the root mean squared distances between two images of a set."""
    return float(np.sqrt(np.trace(generated.covariance) / np.trace(real.covariance)))


def _class_shift(real: NDArray[np.float32], generated: NDArray[np.float32]) -> float:
    """Total variation distance ½ Σ |p − q| between the predicted class shares of real and generated images."""
    classes = real.shape[1]
    shares = [np.bincount(rows.argmax(axis=1), minlength=classes) / len(rows) for rows in (real, generated)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _train_gap(training: FeatureSet, unseen: FeatureSet, generated: FeatureSet) -> float:
    """Fréchet distance to unseen images minus that to equally many training images.

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
    """Share of generated images that are nearest to a training image, among equally many training and unseen images.

    Without memorisation, training and unseen images come from one distribution, so neither is nearer. A tie counts
    half.
    """
    rows = min(len(training.features), len(unseen.features))
    distances = [nearest(generated.features, images.features[:rows], 1)[1][:, 0] for images in (training, unseen)]
    return float(((distances[0] < distances[1]) + 0.5 * (distances[0] == distances[1])).mean())

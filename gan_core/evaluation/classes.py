"""Classes of real and generated images, and the scores of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.data.prepared import ImageSplit
from gan_core.evaluation.extractors.features import ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance
from gan_core.evaluation.metrics.neighbours import precision_recall
from gan_core.evaluation.protocol import ClassScores
from gan_core.evaluation.score_meanings import score_name

FEWEST_IN_A_CLASS = 100
"""Minimum number of real images, and of generated images, for scores of a single class."""
MOST_CLASSES = 50
"""If there are more classes, only the first ones are scored."""


@dataclass(frozen=True)
class Classes:
    """The class of each image.

    Attributes:
        names: class names, by label.
        assigned_by: `labels`, if the generator was given labels and the data has them; otherwise `extractor`, for real
            and generated images alike.
        real: label of each real image whose features are kept, [N].
        generated: label of each generated image whose features are kept, [M].
    """

    names: tuple[str, ...]
    assigned_by: Literal["labels", "extractor"]
    real: NDArray[np.integer]
    generated: NDArray[np.integer]


def find_classes(
    names: Sequence[str], extractor: Extractor, real: ImagesWithFeatures, generated: ImagesWithFeatures
) -> Classes | None:
    """Returns the classes of the images; None if the data has no classes or they cannot be determined."""
    if len(names) < 2 or not len(real.features.features):
        return None
    if generated.labels is not None and isinstance(real.images, ImageSplit):
        real_labels = real.images.labels(np.arange(len(real.features.features)))
        return Classes(tuple(names), "labels", real_labels, generated.labels[: len(generated.features.features)])
    if extractor.accuracy is None or not isinstance(extractor, ClassProbabilities):
        return None  # its classes are not the data's
    predicted = (extractor.probabilities(side.features.features).argmax(axis=1) for side in (real, generated))
    return Classes(tuple(names), "extractor", *predicted)


def score_classes(classes: Classes, real: FeatureSet, generated: FeatureSet, extractor: Extractor) -> list[ClassScores]:
    """Computes the shares, Fréchet distance, precision and recall of each class, in label order.

    The scores use the images of one class only. A class with fewer than FEWEST_IN_A_CLASS real or generated images gets
    no scores. A distance over few images is biased upwards. So compare a class only with the same class in an
    evaluation with the same number of images, not with other classes.
    """
    class_scores = []
    for label, name in enumerate(classes.names[:MOST_CLASSES]):
        sides = real.features[classes.real == label], generated.features[classes.generated == label]
        scores = {}
        if min(map(len, sides)) >= FEWEST_IN_A_CLASS:
            statistics = [_statistics(rows) for rows in sides]
            scores["fd"] = frechet_distance(
                *(part for gaussian in statistics for part in (gaussian.mean, gaussian.covariance))
            )
            scores["precision"], scores["recall"] = precision_recall(*sides)
        class_scores.append(
            ClassScores(
                name=name,
                real_share=float((classes.real == label).mean()),
                generated_share=float((classes.generated == label).mean()),
                scores={score_name(metric, extractor.name): value for metric, value in scores.items()},
            )
        )
    return class_scores


def _statistics(rows: NDArray[np.float32]) -> GaussianStatistics:
    statistics = GaussianStatistics(rows.shape[1])
    statistics.update(rows)
    return statistics

"""Classes of real and generated images, and each class's own scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.data.prepared import ImageSplit
from gan_core.evaluation.features import ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.frechet import GaussianStatistics, frechet_distance
from gan_core.evaluation.images import Collection
from gan_core.evaluation.neighbours import precision_recall
from gan_core.evaluation.protocol import ClassScores
from gan_core.evaluation.scores import score_name

FEWEST_IN_A_CLASS = 100
"""Images of either kind that a class must have to get scores of its own."""
MOST_CLASSES = 50
"""Of more classes the first ones are told apart."""


@dataclass(frozen=True)
class Classes:
    """Which class each image is of.

    Attributes:
        names: of the classes, by label.
        told_by: what tells an image's class: `labels` that the generator was given and the data have, or else the
            `extractor`, of real and generated images alike.
        real: label of each real image whose features are kept, [N].
        generated: label of each generated one, [M].
    """

    names: tuple[str, ...]
    told_by: Literal["labels", "extractor"]
    real: NDArray[np.integer]
    generated: NDArray[np.integer]


def find_classes(names: Sequence[str], extractor: Extractor, real: Collection, generated: Collection) -> Classes | None:
    """Tells the images' classes; None if the data has none, or nothing can tell them."""
    if len(names) < 2 or not len(real.features.features):
        return None
    if generated.labels is not None and isinstance(real.images, ImageSplit):
        known = real.images.labels(np.arange(len(real.features.features)))
        return Classes(tuple(names), "labels", known, generated.labels[: len(generated.features.features)])
    if extractor.accuracy is None or not isinstance(extractor, ClassProbabilities):
        return None  # its classes are not the data's
    judged = (extractor.probabilities(side.features.features).argmax(axis=1) for side in (real, generated))
    return Classes(tuple(names), "extractor", *judged)


def score_classes(classes: Classes, real: FeatureSet, generated: FeatureSet, extractor: Extractor) -> list[ClassScores]:
    """Shares, Fréchet distance, precision and recall of each class, in the order of labels.

    The scores are of the images of one class alone, and left out of a class with fewer than FEWEST_IN_A_CLASS images of
    a kind. A distance of few images is biased upwards: compare a class with itself in another evaluation made of as
    many, rather than with another class.
    """
    found = []
    for label, name in enumerate(classes.names[:MOST_CLASSES]):
        sides = real.features[classes.real == label], generated.features[classes.generated == label]
        scores = {}
        if min(map(len, sides)) >= FEWEST_IN_A_CLASS:
            statistics = [_statistics(rows) for rows in sides]
            scores["fd"] = frechet_distance(*(part for one in statistics for part in (one.mean, one.covariance)))
            scores["precision"], scores["recall"] = precision_recall(*sides)
        found.append(
            ClassScores(
                name=name,
                real_share=float((classes.real == label).mean()),
                generated_share=float((classes.generated == label).mean()),
                scores={score_name(metric, extractor.name): value for metric, value in scores.items()},
            )
        )
    return found


def _statistics(rows: NDArray[np.float32]) -> GaussianStatistics:
    statistics = GaussianStatistics(rows.shape[1])
    statistics.update(rows)
    return statistics

"""Inception score: measures how sure a classifier is of each image, and how varied the predicted classes are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput


def inception_score(probabilities: NDArray[np.floating], splits: int) -> tuple[float, float]:
    """Returns the mean and standard deviation over the splits of exp(mean KL(p(y|x) ‖ p(y))), at least 1.

    Args:
        probabilities: p(y|x), [N, classes]; each row sums to 1. The splits are consecutive rows, so shuffle the rows
            first if the images are sorted.
        splits: number of parts of equal size; p(y) is the mean over a part. The score is at most the number of classes,
            and grows with the number of images in a part.

    Raises:
        InvalidInput: there are fewer images than splits, or rows are not probabilities.

    Reference: Salimans et al. 2016, arXiv 1606.03498, section 4.
    """
    matrix = np.asarray(probabilities, np.float64)
    if matrix.ndim != 2 or not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1, atol=1e-4):
        raise InvalidInput(
            f"Each row of probabilities [N, classes] must be at least 0 and sum to 1. Received: shape {matrix.shape}"
        )
    if not 1 <= splits <= len(matrix):
        raise InvalidInput(
            f"The Inception score needs at least one example a split. Received: splits={splits}, {len(matrix)} examples"
        )
    scores = []
    for part in range(splits):
        conditional = matrix[part * len(matrix) // splits : (part + 1) * len(matrix) // splits]
        marginal = conditional.mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = conditional * (np.log(conditional) - np.log(marginal))
        scores.append(np.exp(np.where(conditional > 0, terms, 0).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))

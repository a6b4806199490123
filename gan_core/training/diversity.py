"""The diversity of samples, and the check for mode collapse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WARM_UP_IMAGES = 100_000
_ROWS = 2


def mean_pairwise_distance(images: NDArray[np.floating], labels: NDArray[np.integer] | None = None) -> float:
    """The mean of ‖xᵢ − xⱼ‖₂ over the pairs i < j of `images` [N, …]; 0 if there is no pair.

    If `labels` [N] are given, only pairs of the same class count. The Gram matrix gives ‖xᵢ − xⱼ‖² = ‖xᵢ‖² + ‖xⱼ‖² − 2
    xᵢ·xⱼ.
    """
    count = len(images)
    if count < 2:
        return 0.0
    rows = images.reshape(count, -1).astype(np.float64)
    gram = (rows - rows.mean(axis=0)) @ (rows - rows.mean(axis=0)).T
    squares = np.diag(gram)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0))
    counted = np.triu(np.ones((count, count), bool), 1)
    if labels is not None:
        counted &= labels[:, None] == labels[None, :]
    return float(distances[counted].mean()) if counted.any() else 0.0


def relative_diversity(
    samples: NDArray[np.floating], real_distance: float, labels: NDArray[np.integer] | None = None
) -> float:
    """The mean pairwise distance of `samples` [N, …] as a share of `real_distance`; 1 if that is 0."""
    return mean_pairwise_distance(samples, labels) / real_distance if real_distance > 0 else 1.0


def has_collapsed(images_seen: Sequence[int], diversities: Sequence[float], threshold: float) -> bool:
    """Whether the last two diversities are below `threshold`.

    At the start of a training, all samples look alike. So the check applies only after the diversity has once reached
    the threshold, or after 100,000 images.
    """
    if len(diversities) < _ROWS or max(diversities[-_ROWS:]) >= threshold:
        return False
    return max(diversities) >= threshold or images_seen[-1] >= WARM_UP_IMAGES

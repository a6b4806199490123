"""Paths between latents, along which a generator's output changes smoothly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_SMALLEST_SINE = 1e-6


def spherical(start: NDArray[np.floating], end: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """Returns the latent [latent_size] at the share t in [0, 1] of the way from `start` to `end`.

    The direction turns at a constant rate: with Ω the angle between both, it has the angle tΩ to `start`. The length is
    (1 − t)·|start| + t·|end|. A straight line would pass through latents that are shorter than nearly all random ones,
    for which the generator was not trained. If both have one direction or opposite ones, or if one is 0, the path is a
    straight line.

    Reference: Shoemake 1985, Animating rotation with quaternion curves; White 2016, arXiv 1609.04468, section 2.1.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if min(lengths) > 0:
        angle = np.arccos(np.clip(start / lengths[0] @ (end / lengths[1]), -1, 1))
        if (sine := np.sin(angle)) > _SMALLEST_SINE:
            weights = np.sin((1 - share) * angle) / sine, np.sin(share * angle) / sine
            direction = weights[0] * start / lengths[0] + weights[1] * end / lengths[1]
            turned: NDArray[np.float64] = ((1 - share) * lengths[0] + share * lengths[1]) * direction
            return turned
    return (1 - share) * start + share * end


def closed_path(points: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Returns a path from each of the latents [N, latent_size] to the next, and from the last to the first.

    Returns:
        float32 [N · steps, latent_size]; row i · steps is `points[i]`.
    """
    return np.stack(list(_path(points, steps))).astype(np.float32)


def _path(points: NDArray[np.float32], steps: int) -> Iterator[NDArray[np.float64]]:
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        for step in range(steps):
            yield spherical(start, end, step / steps)

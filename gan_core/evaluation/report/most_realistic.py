"""Which generated images may be shown as the most realistic.

Realism alone prefers images that nobody would show: a black square among black squares, a copy of a real image, a shoe
that was asked for as a shirt. Their features do lie among those of real images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.classes import Classes
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import nearest

NEIGHBOURS = 10
COPY = 0.25
"""An image is a copy of its nearest neighbour if that is nearer than this share of the distance to the tenth."""
LOW_CONTRAST = 0.1
"""Quantile of the real images' contrast, up to which a generated image counts as blank."""
CONTRASTS_KNOWN = 500
DRAWN_AT_ONCE = 32


def convincing(
    real: ImagesWithFeatures,
    generated: ImagesWithFeatures,
    found: Classes | None,
    realism: NDArray[np.float64],
    count: int,
) -> NDArray[np.int64]:
    """Positions of the most realistic generated images, best first, [≤ count].

    Left out are copies of a real or of another generated image, and images with less contrast than nearly all real
    ones. Where labels are known, images whose neighbours all are of the class that was asked for come first.

    Args:
        real: the real images.
        generated: the generated images.
        found: the classes of both; None if they are not known.
        realism: of each generated image, [N].
        count: how many to choose.
    """
    ours, theirs = generated.features.features, real.features.features
    positions, distances = nearest(ours, theirs, min(NEIGHBOURS, len(theirs)))
    # The nearest of all generated images is the image itself.
    _, among_themselves = nearest(ours, ours, min(NEIGHBOURS + 1, len(ours)))
    copied = _is_copy(distances) | _is_copy(among_themselves[:, 1:])
    agreement = np.zeros(len(ours))
    if found is not None and found.assigned_by == "labels":
        agreement = (found.real[positions] == found.generated[:, None]).mean(axis=1)
    order = np.lexsort((-realism, -agreement))
    order = order[~copied[order]]
    known = real.images.images(np.arange(min(CONTRASTS_KNOWN, real.images.count)))
    blank = float(np.quantile([image.std() for image in known], LOW_CONTRAST))
    chosen: list[int] = []
    for start in range(0, len(order), DRAWN_AT_ONCE):
        part = order[start : start + DRAWN_AT_ONCE]
        drawn = zip(part.tolist(), generated.images.images(part), strict=True)
        chosen += [position for position, image in drawn if image.std() > blank]
        if len(chosen) >= count:
            break
    return np.array(chosen[:count], np.int64)


def _is_copy(distances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of images with the distances [N, K] to their neighbours, nearest first."""
    return distances[:, 0] <= COPY * distances[:, -1]

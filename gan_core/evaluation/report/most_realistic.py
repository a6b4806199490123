"""Selects the generated images that the report shows as the most realistic.

Realism alone would also select blank images, copies of real images, and images of another class than the requested one,
because their features do lie among those of real images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.classes import Classes
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import nearest

NEIGHBOURS = 10
COPY = 0.25
"""An image counts as a copy if the distance to its nearest neighbour is at most this share of that to its tenth."""
LOW_CONTRAST = 0.1
"""A generated image counts as blank if its contrast is at most this quantile of the real images' contrasts."""
CONTRAST_SAMPLES = 500
DRAWN_AT_ONCE = 32


def most_realistic(
    real: ImagesWithFeatures,
    generated: ImagesWithFeatures,
    classes: Classes | None,
    realism: NDArray[np.float64],
    count: int,
) -> NDArray[np.int64]:
    """Indices of the most realistic generated images, best first, [≤ count].

    Leaves out copies of real or other generated images, and images with less contrast than nine tenths of the real
    images. If labels are known, images are sorted first by the share of their real neighbours that belong to the
    requested class.

    Args:
        real: the real images.
        generated: the generated images.
        classes: the class of each image; None if unknown.
        realism: realism of each generated image, [N].
        count: number of images to select.
    """
    generated_features, real_features = generated.features.features, real.features.features
    neighbours, distances = nearest(generated_features, real_features, min(NEIGHBOURS, len(real_features)))
    # Among the generated images, the nearest one is the image itself.
    _, mutual = nearest(generated_features, generated_features, min(NEIGHBOURS + 1, len(generated_features)))
    copied = _is_copy(distances) | _is_copy(mutual[:, 1:])
    agreement = np.zeros(len(generated_features))
    if classes is not None and classes.assigned_by == "labels":
        agreement = (classes.real[neighbours] == classes.generated[:, None]).mean(axis=1)
    order = np.lexsort((-realism, -agreement))
    order = order[~copied[order]]
    sampled = real.images.images(np.arange(min(CONTRAST_SAMPLES, real.images.count)))
    blank = float(np.quantile([image.std() for image in sampled], LOW_CONTRAST))
    selected: list[int] = []
    for start in range(0, len(order), DRAWN_AT_ONCE):
        candidates = order[start : start + DRAWN_AT_ONCE]
        drawn = zip(candidates.tolist(), generated.images.images(candidates), strict=True)
        selected += [index for index, image in drawn if image.std() > blank]
        if len(selected) >= count:
            break
    return np.array(selected[:count], np.int64)


def _is_copy(distances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each image is a copy, from the distances [N, K] to its neighbours, nearest first."""
    return distances[:, 0] <= COPY * distances[:, -1]

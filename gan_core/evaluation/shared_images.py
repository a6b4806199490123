"""Detects generated images that are also real images. A distance between equal images does not measure a generator."""

from __future__ import annotations

import numpy as np

from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.metrics.neighbours import nearest

_ROUNDING = 1e-5
"""Relative difference that an image's position in a batch can cause in its float32 features."""


def shared_images(real: FeatureSet, generated: FeatureSet) -> float:
    """Returns the share of the generated images, 0 to 1, whose features equal those of a real image.

    Equal pixels have equal features, independent of the files' names, order and format. If only statistics of the real
    images are known, the share is 1 if the generated images have the same statistics, and otherwise 0.
    """
    # The root mean square of a feature vector's length.
    size = float(np.sqrt(real.mean @ real.mean + np.trace(real.covariance)))
    if len(real.features):
        _, distances = nearest(generated.features, real.features, 1)
        return float((distances <= _ROUNDING * size).mean())
    means_equal = np.abs(real.mean - generated.mean).max() <= _ROUNDING * size
    return float(means_equal and np.abs(real.covariance - generated.covariance).max() <= _ROUNDING * size**2)

"""How far generated images are what was asked for: of the class of their labels, like the targets of their inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.features import Advance, ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.images import Images

_ROUNDING = 1 / 12
"""Mean squared error of a grey level that was rounded: what lies below it cannot be told from 0."""


def class_agreement(extractor: Extractor, features: FeatureSet, labels: NDArray[np.integer] | None) -> dict[str, float]:
    """Share of the images that `extractor` takes for the class in `labels` [count].

    Nothing without labels, or if the extractor knows other classes than the data's.
    """
    if labels is None or extractor.accuracy is None or not isinstance(extractor, ClassProbabilities):
        return {}
    judged = extractor.probabilities(features.features).argmax(axis=1)
    return {"class_agreement": float((judged == labels[: len(judged)]).mean())}


def target_scores(generated: Images, targets: Images, batch_size: int, advance: Advance) -> dict[str, float]:
    """Distances of each generated image from the target at its position, means over all targets.

    L1 is the mean absolute difference, in grey levels. The peak signal-to-noise ratio of an image is
    10 · log₁₀(255² / mean squared difference), in decibels, and 58.9 at most: no difference is less than that of
    rounding. The structural similarity is that of 11 × 11 Gaussian windows.

    Args:
        generated: the generator's images, uint8; as many as there are targets.
        targets: the images that they should be, uint8.
        batch_size: images at a time.
        advance: told when so many are done.

    Reference: Wang et al. 2004, IEEE TIP 13(4), equation 13 (structural similarity).
    """
    import tensorflow as tf

    sums = np.zeros(3)
    for images, wanted in zip(generated.batches(batch_size), targets.batches(batch_size), strict=True):
        ours, theirs = images.astype(np.float32), wanted.astype(np.float32)
        differences = (ours - theirs).astype(np.float64)
        squares = np.maximum((differences**2).mean(axis=(1, 2, 3)), _ROUNDING)
        similarity = tf.image.ssim(tf.constant(ours), tf.constant(theirs), max_val=255.0).numpy()
        ratios = 10 * np.log10(255**2 / squares)
        sums += [np.abs(differences).mean(axis=(1, 2, 3)).sum(), ratios.sum(), similarity.sum()]
        advance(len(images))
    return dict(zip(("target_l1", "target_psnr", "target_ssim"), (sums / targets.count).tolist(), strict=True))

"""How well generated images match their condition: the class of their label, or the target of their input image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.features import Advance, ClassProbabilities, Extractor, FeatureSet
from gan_core.evaluation.images import Images

_ROUNDING = 1 / 12
"""Mean squared error of rounding to a whole grey level. A smaller error cannot be told from 0."""


def class_agreement(extractor: Extractor, features: FeatureSet, labels: NDArray[np.integer] | None) -> dict[str, float]:
    """Returns the share of images that `extractor` assigns to their class in `labels` [count].

    Empty without labels, or if the extractor's classes are not those of the data.
    """
    if labels is None or extractor.accuracy is None or not isinstance(extractor, ClassProbabilities):
        return {}
    predicted = extractor.probabilities(features.features).argmax(axis=1)
    return {"class_agreement": float((predicted == labels[: len(predicted)]).mean())}


def target_scores(generated: Images, targets: Images, batch_size: int, advance: Advance) -> dict[str, float]:
    """Returns the mean distances between generated images and their targets.

    L1 is the mean absolute difference, in grey levels. The peak signal-to-noise ratio of an image, in decibels, is 10 ·
    log₁₀(255² / mean squared difference). It is at most 58.9, because the mean squared difference is at least that of
    rounding to grey levels. The structural similarity uses 11 × 11 Gaussian windows.

    Args:
        generated: the generator's images, uint8, one for each target.
        targets: the target images, uint8.
        batch_size: images at a time.
        advance: called with the number of images in each finished batch.

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

"""Differentiable augmentation of real and generated images before the discriminator sees them.

The module draws no random numbers; the caller passes uniform numbers for each image. Shifts are matrix products, so
their gradient has the same bits on every run on a GPU, has a second derivative, and compiles with XLA.

Reference: Zhao et al. 2020, arXiv 2006.10738, section 4; the ranges are those of the authors' experiments.
"""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

POLICIES = ("color", "translation", "cutout", "time_translation")
NUMBERS = 12
_LARGEST_SHIFT = 0.125
_CUTOUT_SIDE = 0.5
# The number of images in which an adaptive probability can rise from 0 to 1.
# Karras et al. 2020, arXiv 2006.06676, section 3.
_IMAGES_TO_ADAPT = 500_000


def augment(images: tf.Tensor, policy: Iterable[str], uniforms: tf.Tensor, probability: tf.Tensor | float) -> tf.Tensor:
    """Applies the augmentations in `policy` to images [B, H, W, C] in [−1, 1], in the order of POLICIES.

    Color: brightness x + b with b in ±0.5; saturation m + s·(x − m), where m is the mean over a pixel's channels and s
    lies in [0, 2); contrast in the same way about an image's mean, with a factor in [0.5, 1.5). Translation: a shift by
    whole pixels, up to an eighth of each side, filled with 0; time translation: the same along the width alone. Cutout:
    a rectangle of half the height and half the width is set to 0, with its centre anywhere in the image.

    Each of the five transforms is applied to each image with `probability`. The `uniforms` [B, NUMBERS] lie in [0, 1):
    the first 5 decide which transforms apply to an image, the other 7 are the transforms' parameters.
    """
    chosen = tf.cast(uniforms[:, :5] < probability, images.dtype)
    brightness, saturation, contrast, down, right, row, column = tf.unstack(uniforms[:, 5:], axis=1)
    if "color" in policy:
        images += _of_each_image(chosen[:, 0] * (brightness - 0.5))
        factor = 1.0 + chosen[:, 1] * (2.0 * saturation - 1.0)
        images = _stretch(images, factor, axis=[3])
        images = _stretch(images, 1.0 + chosen[:, 2] * (contrast - 0.5), axis=[1, 2, 3])
    rows, columns = (
        _shift(chosen[:, 3], uniform, size) for uniform, size in zip((down, right), images.shape[1:3], strict=True)
    )
    if "translation" in policy:
        images = tf.einsum("bij,bjwc->biwc", rows, images)
    if not {"translation", "time_translation"}.isdisjoint(policy):
        images = tf.einsum("bij,bhjc->bhic", columns, images)
    if "cutout" in policy:
        rows, columns = (_stripe(uniform, size) for uniform, size in zip((row, column), images.shape[1:3], strict=True))
        cut = rows[:, :, tf.newaxis, tf.newaxis] * columns[:, tf.newaxis, :, tf.newaxis]
        images *= 1.0 - _of_each_image(chosen[:, 4]) * cut
    return images


def adapted_probability(probability: tf.Tensor, excess: tf.Tensor, images: int) -> tf.Tensor:
    """Returns the probability after a step with `images` images: higher if the discriminator overfits, else lower.

    `excess` is the mean sign of the real logits minus its target.

    Reference: Karras et al. 2020, arXiv 2006.06676, equation 1 (r_t) and section 3.
    """
    return tf.clip_by_value(probability + tf.sign(excess) * images / _IMAGES_TO_ADAPT, 0.0, 1.0)


def _of_each_image(numbers: tf.Tensor) -> tf.Tensor:
    return numbers[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _stretch(images: tf.Tensor, factors: tf.Tensor, axis: list[int]) -> tf.Tensor:
    mean = tf.reduce_mean(images, axis=axis, keepdims=True)
    return mean + _of_each_image(factors) * (images - mean)


def _shift(chosen: tf.Tensor, uniform: tf.Tensor, size: int) -> tf.Tensor:
    """Matrices [B, size, size] that move pixel j to i = j − t, with integer t in ±`size`/8; t = 0 if not chosen."""
    largest = int(size * _LARGEST_SHIFT + 0.5)
    offsets = chosen * (tf.floor(uniform * (2 * largest + 1)) - largest)
    positions = tf.range(size, dtype=uniform.dtype)
    sources = positions[tf.newaxis, :] + offsets[:, tf.newaxis]
    return tf.cast(sources[:, :, tf.newaxis] == positions, uniform.dtype)


def _stripe(uniform: tf.Tensor, size: int) -> tf.Tensor:
    """A mask [B, size]: 1 on a stripe of half of `size` pixels, 0 elsewhere. The image's edge may cut the stripe.

    A stripe of even width may be centred between pixels, so it has one more position.
    """
    width = int(size * _CUTOUT_SIDE + 0.5)
    first = tf.floor(uniform * (size + 1 - width % 2)) - width // 2
    distance = tf.range(size, dtype=uniform.dtype) - first[:, tf.newaxis]
    return tf.cast((distance >= 0) & (distance < width), uniform.dtype)

"""Makes the input image of a pair from its target, for an image-to-image GAN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.config import Pairs

_GREY = 128
_FACTOR = 4


def input_of(target: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.uint8]:
    """Returns the input image for `target`; both are uint8 [H, W, C], with H and W multiples of 4.

    `inpainting`: a central square of half the height and width is grey. `super_resolution`: each block of 4 × 4 pixels
    is replaced by its mean, rounded to the nearest grey level, halves up.
    """
    height, width, channels = target.shape
    if pairs == "inpainting":
        masked = target.copy()
        masked[height // 4 : height - height // 4, width // 4 : width - width // 4] = _GREY
        return masked
    blocks = target.reshape(height // _FACTOR, _FACTOR, width // _FACTOR, _FACTOR, channels)
    sums = blocks.sum(axis=(1, 3), dtype=np.uint16)
    means = ((sums + _FACTOR**2 // 2) // _FACTOR**2).astype(np.uint8)
    repeated: NDArray[np.uint8] = means.repeat(_FACTOR, axis=0).repeat(_FACTOR, axis=1)
    return repeated

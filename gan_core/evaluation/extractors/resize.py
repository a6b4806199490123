"""Methods that convert images to the Inception network's resolution and range. A score depends on the method."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput

ResizeMode = Literal["legacy_tensorflow", "legacy_pytorch", "clean"]
SIDE = 299


def resize(images: NDArray[np.uint8], mode: ResizeMode) -> Any:
    """Resizes and scales images for the Inception network.

    Args:
        images: [B, H, W, C], C = 1 grey or 3 RGB.
        mode: `legacy_tensorflow` is the original protocol: bilinear without antialiasing, aligned at the top left
            corner. `legacy_pytorch` is that of pytorch-fid: bilinear without antialiasing, pixel centres aligned.
            `clean` is that of clean-fid: bicubic with antialiasing, in float, clipped to 0..255.

    Returns:
        Tensor float32 [B, 299, 299, 3]. Grey level u becomes (u − 128) / 128, or 2u / 255 − 1 in `legacy_pytorch`.

    Raises:
        InvalidInput: the mode is unknown, or the images have another type or shape.

    Reference: Parmar et al. 2022, arXiv 2104.11222, section 3.
    """
    if mode not in get_args(ResizeMode):
        raise InvalidInput(f"The resize mode must be one of {', '.join(get_args(ResizeMode))}. Received: {mode!r}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise InvalidInput(
            f"Images must be uint8 of shape [B, H, W, 1 or 3]. Received: {images.dtype.name} of shape {images.shape}"
        )
    import tensorflow as tf

    if mode == "legacy_tensorflow":
        # tf.image.resize aligns pixel centres; the original graph did not.
        levels = tf.raw_ops.ResizeBilinear(images=images, size=[SIDE, SIDE], half_pixel_centers=False)
        scaled = (levels - 128.0) / 128.0
    elif mode == "legacy_pytorch":
        channels = []
        for channel in np.split(images, images.shape[-1], axis=-1):  # one at a time: photos need gigabytes as float32
            unit = channel.astype(np.float32)
            unit /= np.float32(255)  # scaled before resizing, as in pytorch-fid, because the order changes the rounding
            channels.append(tf.raw_ops.ResizeBilinear(images=unit, size=[SIDE, SIDE], half_pixel_centers=True))
        scaled = 2.0 * tf.concat(channels, axis=-1) - 1.0
    else:
        scaled = tf.constant((_bicubic(images) - 128) / 128)
    return tf.repeat(scaled, 3 // images.shape[-1], axis=-1)


def _bicubic(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resizes each channel as a float image, because Pillow rounds all other modes to whole grey levels."""
    from PIL import Image

    resized = np.empty((len(images), SIDE, SIDE, images.shape[-1]), np.float32)
    for image, target in zip(images, resized, strict=True):
        for channel in range(images.shape[-1]):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            target[..., channel] = np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return resized.clip(0, 255)

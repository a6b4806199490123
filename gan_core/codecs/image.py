"""The codec of images: the stored array is the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.codecs.grid import image_grid


class ImageCodec(Codec):
    """Stores and shows an image as it is."""

    modality: Literal["image"] = "image"

    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the pixels."""
        return decoded

    def grid(self, arrays: NDArray[np.uint8], columns: int, names: Sequence[str] = ()) -> NDArray[np.uint8]:
        """Draws the images, as `image_grid` does."""
        return image_grid(arrays, columns, names=names)

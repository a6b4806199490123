"""The codec of images: the stored array is the picture."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec


class ImageCodec(Codec):
    """Stores and shows an image as it is."""

    modality: Literal["image"] = "image"
    item: ClassVar[str] = "image"

    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the pixels."""
        return decoded

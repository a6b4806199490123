"""Images: PNG, JPEG and WebP files, and the built-in data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.image import ImageCodec
from gan_core.config import ImageSettings, Pairs
from gan_core.data import fashion_mnist
from gan_core.data.decode import SUFFIXES, decode, open_image
from gan_core.data.image_shape import with_shape
from gan_core.data.sources import Folder, GreyImages, Source
from gan_core.modalities.modality import Modality


class Image(Modality[ImageSettings]):
    """Images; the decoded item is the picture that is stored."""

    item = ImageCodec.item
    settings = ImageSettings
    suffixes = SUFFIXES
    read = staticmethod(open_image)

    def __init__(self) -> None:
        self.built_in = {
            "embedded": lambda: GreyImages(*fashion_mnist.embedded(), fashion_mnist.CLASSES),
            "fashion-mnist": lambda: GreyImages(*fashion_mnist.both_splits(), fashion_mnist.CLASSES),
            "digits": _digits,
        }

    def open(self, path: Path) -> Source:
        """Opens a folder of images."""
        return Folder(path, "image", self.item, SUFFIXES, self.read)

    def resolved(self, settings: ImageSettings, source: Source) -> ImageSettings:
        """Chooses height, width and channels that are `auto`."""
        return with_shape(settings, source)

    def decoded(self, settings: ImageSettings) -> tuple[tuple[int, ...], DTypeLike]:
        """Returns height, width, channels, and uint8."""
        return (settings.height, settings.width, settings.channels), np.uint8

    def decode(self, opener: Callable[[], Any], settings: ImageSettings) -> NDArray[np.uint8]:
        """Decodes an image; see `gan_core.data.decode`."""
        return decode(opener, settings)

    def fit(
        self, train: Iterable[NDArray[Any]], held_out: Iterable[NDArray[Any]], settings: ImageSettings
    ) -> ImageCodec:
        """Returns the codec, which needs nothing from the data."""
        del train, held_out
        return ImageCodec(shape=(settings.height, settings.width, settings.channels))

    def pairs(self, settings: ImageSettings) -> Pairs:
        """Returns `prepare.image.pairs`."""
        return settings.pairs


def _digits() -> Source:
    """Opens scikit-learn's 1,797 handwritten digits of 8 × 8 pixels and scales their levels 0..16 to 0..255."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    levels = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return GreyImages(levels, labels, [str(digit) for digit in range(10)])

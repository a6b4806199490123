"""Pictures for the page: single images or rows of images, as PNG data URLs; texts stay texts."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.evaluation.images import Images

PAGE_BYTES = 3_400_000
"""Maximum size of all pictures' pixels. With base64, which adds a third, the page stays below 5 MB."""
PAGE_TILES = 380
"""Maximum number of images on a page."""
GAP = 2

Drawn = NDArray[np.uint8] | str
"""An image, uint8 [H, W, 1 or 3], or a text."""


@dataclass(frozen=True)
class Pictures:
    """Images as the pictures that their codec draws, or as texts if they are texts.

    Attributes:
        images: the images.
        codec: their codec; None for images that are not of prepared data.
        item: the codec's word for an example.
    """

    images: Images
    codec: Codec | None
    item: str

    @property
    def count(self) -> int:
        """Number of images."""
        return self.images.count

    def at(self, indices: NDArray[np.int64]) -> Iterator[Drawn]:
        """Yields the pictures of the images at `indices`."""
        return self.of(self.images.images(indices))

    def of(self, arrays: Iterable[NDArray[np.uint8]]) -> Iterator[Drawn]:
        """Yields the pictures of other arrays of the same codec."""
        for array in arrays:
            if self.codec is None:
                yield array
            else:
                texts: Sequence[Drawn] = self.codec.texts(array[None])
                yield from texts or [self.codec.picture(array)]


@dataclass(frozen=True)
class Picture:
    """A picture of the page, or texts.

    Attributes:
        source: `data:image/png;base64,…`; empty for texts.
        width: pixels.
        height: pixels.
        alt_text: description of what it shows.
        caption: text below it; may be empty.
        texts: the texts, row by row.
        columns: number of texts in a row; 0 if as many as fit.
    """

    source: str
    width: int
    height: int
    alt_text: str
    caption: str = ""
    texts: tuple[str, ...] = ()
    columns: int = 0


def tile(image: Drawn, alt_text: str, caption: str = "") -> Picture:
    """One image or text."""
    if isinstance(image, str):
        return Picture("", 0, 0, alt_text, caption, (image,), 1)
    return _picture(_fitted(image), alt_text, caption)


def strip(
    images: Iterable[Drawn], columns: int, alt_text: str, caption: str = "", *, fewer_if_wide: bool = False
) -> Picture:
    """Arranges images in rows with transparent gaps, or texts in rows.

    If there are fewer images than columns, the rest of the row stays empty. So images have the same size in all strips
    with the same number of columns. With `fewer_if_wide`, images more than twice as wide as high get fewer columns, so
    that they stay readable, and texts as many columns as fit.
    """
    drawn = [one if isinstance(one, str) else _fitted(one) for one in images]  # one large image at a time
    if texts := tuple(one for one in drawn if isinstance(one, str)):
        return Picture("", 0, 0, alt_text, caption, texts, 0 if fewer_if_wide else columns)
    fitted = [image for image in drawn if not isinstance(image, str)]
    height, width = (max(image.shape[axis] for image in fitted) + GAP for axis in (0, 1))
    channels = max(image.shape[2] for image in fitted)
    if fewer_if_wide and width > 2 * height:
        columns = max(1, round(2 * columns * height / width))
    rows = math.ceil(len(fitted) / columns)
    sheet = np.zeros((rows * height - GAP, columns * width - GAP, channels + 1), np.uint8)
    for index, image in enumerate(fitted):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1], :channels] = image
        sheet[top : top + image.shape[0], left : left + image.shape[1], channels] = 255
    return _picture(sheet, alt_text, caption)


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image, shrunk if it is larger than its share of PAGE_BYTES."""
    from PIL import Image

    channels = image.shape[2]
    height, width = image.shape[:2]
    scale = math.sqrt(PAGE_BYTES // (PAGE_TILES * channels) / (height * width))
    if scale >= 1:
        return image
    reduced = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    sides = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    reduced = reduced.resize(sides, Image.Resampling.LANCZOS)
    return np.asarray(reduced).reshape(reduced.height, reduced.width, channels)


def _picture(pixels: NDArray[np.uint8], alt_text: str, caption: str = "") -> Picture:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(source, pixels.shape[1], pixels.shape[0], alt_text, caption)


def captioned_tiles(images: Iterable[Drawn], captions: Sequence[str], description: str) -> list[Picture]:
    """Returns a picture for each image and caption. The alternative text is the description and the caption."""
    return [tile(image, f"{description}, {caption}", caption) for image, caption in zip(images, captions, strict=True)]

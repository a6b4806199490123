"""Images as PNG data addresses, one by one or laid out in rows."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAGE_BYTES = 3_400_000
"""Of all pictures' pixels together: with base64's third more the page stays below 5 MB even if nothing compresses."""
PAGE_TILES = 380
"""Images that a page shows at most."""
GAP = 2


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        source: `data:image/png;base64,…`.
        width: pixels.
        height: pixels.
        alternative: what it shows, in words.
        caption: shown below it; may be empty.
    """

    source: str
    width: int
    height: int
    alternative: str
    caption: str = ""


def tile(image: NDArray[np.uint8], alternative: str, caption: str = "") -> Picture:
    """One image, uint8 [H, W, C]."""
    return _picture(_fitted(image), alternative, caption)


def strip(images: Iterable[NDArray[np.uint8]], columns: int, alternative: str, caption: str = "") -> Picture:
    """Images, uint8 [H, W, 1 or 3] each, row by row, with transparent gaps.

    Few images leave the rest of the first row empty, so that none is larger for being one of few.
    """
    tiles = [_fitted(image) for image in images]
    height, width = (max(one.shape[axis] for one in tiles) + GAP for axis in (0, 1))
    channels = max(one.shape[2] for one in tiles)
    rows = math.ceil(len(tiles) / columns)
    sheet = np.zeros((rows * height - GAP, columns * width - GAP, channels + 1), np.uint8)
    for position, one in enumerate(tiles):
        top, left = position // columns * height, position % columns * width
        sheet[top : top + one.shape[0], left : left + one.shape[1], :channels] = one
        sheet[top : top + one.shape[0], left : left + one.shape[1], channels] = 255
    return _picture(sheet, alternative, caption)


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image, smaller if its share of the page's bytes wants it."""
    from PIL import Image

    channels = image.shape[2]
    largest = math.isqrt(PAGE_BYTES // (PAGE_TILES * channels))
    if max(image.shape[:2]) <= largest:
        return image
    drawn = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    drawn.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return np.asarray(drawn).reshape(drawn.height, drawn.width, channels)


def _picture(pixels: NDArray[np.uint8], alternative: str, caption: str = "") -> Picture:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(source, pixels.shape[1], pixels.shape[0], alternative, caption)


def pick(images: Iterable[NDArray[np.uint8]], captions: Sequence[str], what: str) -> list[Picture]:
    """Tiles of `images` with their captions; the alternative text is `what` and the caption."""
    return [tile(image, f"{what}, {caption}", caption) for image, caption in zip(images, captions, strict=True)]

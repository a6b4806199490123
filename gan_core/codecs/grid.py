"""Combines many images into one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.lettering import LETTER_PIXELS, lettered

SIGNATURE = "gan-pipeline"
"""Text field Software of the PNG files that this project writes, by which an earlier output is recognised."""
_COMFORTABLE_SIDE = 80
_WIDEST = 320
_GAP_LEVEL = 255
_MOST_LETTERS = 24


def image_grid(
    images: NDArray[np.uint8],
    columns: int,
    gap: int = 2,
    names: Sequence[str] = (),
    filled: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Arranges images in rows. Enlarges small images by an integer factor, to a height of about 80 pixels,
    but not beyond a width of 320.

    Args:
        images: uint8 [N, H, W, C].
        columns: number of images in a row; the last row is completed with white.
        gap: white pixels between two images and around the grid.
        names: names of the rows, written in a margin on the left; without names there is no margin.
        filled: bool [M], the cells that the images fill, row by row, with N of them true; the others are white. By
            default the first N cells.

    Returns:
        uint8 [H', W', C].

    >>> image_grid(generator.sample(6, seed=0), columns=3).shape
    (166, 248, 1)
    """
    count, height, width, channels = images.shape
    factor = max(1, min(round(_COMFORTABLE_SIDE / height), _WIDEST // width))
    chosen = np.arange(count) if filled is None else np.flatnonzero(filled)
    rows = -(-(count if filled is None else len(filled)) // columns)
    cells = np.full((rows * columns, height * factor + gap, width * factor + gap, channels), _GAP_LEVEL, np.uint8)
    cells[chosen, gap:, gap:] = images.repeat(factor, axis=1).repeat(factor, axis=2)
    grid = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    grid = grid.reshape(rows * cells.shape[1], columns * cells.shape[2], channels)
    if names:
        margin = _row_names(names[:rows], cells.shape[1], rows)
        grid = np.concatenate([margin[:, :, None].repeat(channels, axis=2), grid], axis=1)
    return np.pad(grid, ((0, gap), (0, gap), (0, 0)), constant_values=_GAP_LEVEL)


def _row_names(names: Sequence[str], row_height: int, rows: int) -> NDArray[np.uint8]:
    """Draws the names in black on white, each vertically centred on its row, uint8 [rows * row_height, W]."""
    from PIL import Image, ImageDraw

    # A line break in a name would start a new line.
    font, texts = lettered([" ".join(name.split()) for name in names], _MOST_LETTERS)
    width = max(round(font.getlength(text)) for text in texts) + 2 * LETTER_PIXELS
    drawn = Image.new("L", (width, rows * row_height), _GAP_LEVEL)
    for row, text in enumerate(texts):
        place = (width - LETTER_PIXELS, row * row_height + row_height // 2)
        ImageDraw.Draw(drawn).text(place, text, fill=0, font=font, anchor="rm")
    return np.asarray(drawn)


def png_bytes(image: NDArray[np.uint8], xmp: str = "") -> bytes:
    """Returns the image, uint8 [H, W, 1 or 3], encoded as PNG, with the XMP packet `xmp` unless it is empty."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    signed = PngInfo()
    signed.add_text("Software", SIGNATURE)
    if xmp:
        signed.add_itxt("XML:com.adobe.xmp", xmp)
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG", pnginfo=signed)
    return buffer.getvalue()


def write_png(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Writes the image, uint8 [H, W, 1 or 3], as a PNG file.

    >>> write_png(Path("one.png"), generator.sample(1, seed=0)[0])
    """
    Path(path).write_bytes(png_bytes(image))

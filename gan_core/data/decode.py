"""Decodes one image of any accepted format to uint8 [height, width, channels]."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gan_core.config import ImageSettings
from gan_core.data.side_data import UPRIGHT, without_side_data
from gan_core.data.unreadable import reasons
from gan_core.errors import UnreadableItem

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
LONGEST_SIDE = 2**20
"""In pixels. Resizing needs 48 bytes of memory for each pixel of a side, even if the image has few pixels in total."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_ORIENTATION = "orientation"  # in the image's info
_STRIP_PIXELS = 2**20


def open_image(content: bytes) -> Image.Image:
    """Opens a PNG, JPEG or WebP file from its content. Reads only the header, and drops the side data.

    Raises:
        UnreadableItem: it is not such a file.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit would contradict max_image_megapixels
    pixels, orientation = without_side_data(content)
    try:
        image = Image.open(io.BytesIO(pixels), formats=_FORMATS)
    except UnidentifiedImageError:
        raise UnreadableItem("not a PNG, JPEG or WebP image") from None
    image.info[_ORIENTATION] = orientation
    return image


def decode(opener: Callable[[], Image.Image], config: ImageSettings) -> NDArray[np.uint8]:
    """Opens and decodes an image, turns it upright, fits it to the shape, resizes it and converts it to grey or RGB.

    Transparent pixels are composited over the background. 16-bit levels are scaled to 8 bits. Grey is the luma of ITU-R
    601-2. Only the first frame of an animated image is used. Colour profiles are ignored.

    Returns:
        uint8 [height, width, channels].

    Raises:
        UnreadableItem: the file is not an image, is damaged, or has more pixels than `max_image_megapixels`.
    """
    with reasons():
        image = _upright(opener, config.max_image_megapixels)
        if config.fit == "center_crop":
            image = _crop_to_shape(image, config.height, config.width)
        image = _in_mode(_over_background(image, config.background), "RGB" if config.channels == 3 else "L")
        image = _resize(image, config)
        return np.asarray(image).reshape(config.height, config.width, config.channels)


def decode_whole(opener: Callable[[], Image.Image], max_megapixels: float) -> NDArray[np.uint8]:
    """Opens and decodes an image and turns it upright, at its own size; transparent pixels become black.

    Returns:
        uint8 [H, W, 1] for a grey image, [H, W, 3] for any other.

    Raises:
        UnreadableItem: the file is not an image, is damaged, or has more than `max_megapixels`.
    """
    with reasons():
        image = _over_background(_upright(opener, max_megapixels), 0)
        image = _in_mode(image, "L" if image.mode in ("1", "L") else "RGB")
        return np.asarray(image).reshape(image.height, image.width, -1)


def require_image(content: bytes, max_megapixels: float) -> None:
    """Checks the size in a file's header, without decoding the image.

    Raises:
        UnreadableItem: the file is not an image, has more than `max_megapixels`, or more than LONGEST_SIDE pixels a
            side.
    """
    with reasons(), open_image(content) as image:
        _require_modest(image, max_megapixels)


def _require_modest(image: Image.Image, max_megapixels: float) -> None:
    size = f"{image.width} × {image.height} pixels"
    if image.width * image.height > max_megapixels * 1e6:
        raise UnreadableItem(f"{size}, more than max_image_megapixels allows")
    if max(image.size) > LONGEST_SIDE:
        raise UnreadableItem(f"{size}, of which a side has more than {LONGEST_SIDE}")


def _upright(opener: Callable[[], Image.Image], max_megapixels: float) -> Image.Image:
    from PIL.Image import Transpose

    with opener() as image:
        _require_modest(image, max_megapixels)
        image.load()
    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(image.info.get(_ORIENTATION, UPRIGHT))
    return image if turn is None else image.transpose(turn)


def _crop_to_shape(image: Image.Image, height: int, width: int) -> Image.Image:
    """Returns the largest part in the centre that has the proportion of `height` and `width`."""
    wanted_width = min(image.width, max(1, round(image.height * width / height)))
    wanted_height = min(image.height, max(1, round(image.width * height / width)))
    left, top = (image.width - wanted_width) // 2, (image.height - wanted_height) // 2
    return image.crop((left, top, left + wanted_width, top + wanted_height))


def _over_background(image: Image.Image, background: int) -> Image.Image:
    """Returns the image with 8 bits per channel and without transparency."""
    from PIL import Image

    sixteen_bits = image.mode.startswith("I")
    if not sixteen_bits and not image.has_transparency_data:
        return image
    canvas = Image.new("L" if sixteen_bits else "RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)  # in strips: intermediate results take several times the memory
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if sixteen_bits:  # Pillow's convert would clip 16-bit levels at 255
            levels = np.asarray(strip)
            flat = np.rint(levels / 257).astype(np.uint8)
            flat[levels == image.info.get("transparency", -1)] = background
            canvas.paste(Image.fromarray(flat), (0, top))
        else:
            opaque = Image.new("RGBA", strip.size, (background, background, background, 255))
            opaque.alpha_composite(strip.convert("RGBA"))
            canvas.paste(opaque.convert("RGB"), (0, top))
    return canvas


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Converts the image, unless that would only copy it."""
    return image if image.mode == mode else image.convert(mode)


def _resize(image: Image.Image, config: ImageSettings) -> Image.Image:
    """Resizes a cropped image to the shape; resizes any other until it fits into the shape, and pads two sides.

    Shrinking uses Lanczos, which prevents aliasing. Enlarging uses bilinear, because Lanczos rings around hard edges.
    """
    from PIL import Image

    whole = (config.width, config.height)
    scale = min(config.width / image.width, config.height / image.height)
    scaled = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    size = whole if config.fit == "center_crop" else scaled
    image = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR)
    if size == whole:
        return image
    canvas = Image.new(image.mode, whole, (config.background,) * len(image.getbands()))
    canvas.paste(image, ((config.width - image.width) // 2, (config.height - image.height) // 2))
    return canvas

"""One image, in whatever form it comes, becomes uint8 [resolution, resolution, channels]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gan_core.config import PrepareConfig

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
_LONGEST_REASON = 200


class UnreadableImage(Exception):
    """The image cannot be used; the message is the reason."""


def open_file(path: Path) -> Image.Image:
    """Opens a PNG, JPEG or WebP file, whatever its name says. Only its header is read.

    Raises:
        UnreadableImage: it is not such a file.
        OSError: it cannot be opened.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit would contradict max_image_megapixels
    if not path.is_file():  # opening a named pipe would wait for ever
        raise UnreadableImage("not a regular file, or a link to nothing")
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImage("not a PNG, JPEG or WebP image") from None


def decode(opener: Callable[[], Image.Image], config: PrepareConfig) -> NDArray[np.uint8]:
    """Opens and decodes an image, turns it upright, makes it square, resizes it and converts it to grey or RGB.

    Transparent pixels are composited over the background. 16-bit levels are scaled to 8 bits. Colour becomes grey by
    luma, ITU-R 601-2. Of an animated image the first frame is taken. Colour profiles are ignored.

    Returns:
        uint8 [resolution, resolution, channels].

    Raises:
        UnreadableImage: the file is no image, is damaged, or has more pixels than `max_image_megapixels`.
    """
    image = _upright(opener, config.max_image_megapixels)
    if config.fit == "center_crop":
        image = _crop_to_square(image)
    image = _over_background(image, config.background).convert("RGB" if config.channels == 3 else "L")
    image = _fit_into_square(image, config.resolution, config.background)
    return np.asarray(image).reshape(config.resolution, config.resolution, config.channels)


def decode_whole(opener: Callable[[], Image.Image], max_megapixels: float) -> NDArray[np.uint8]:
    """Opens and decodes an image and turns it upright, at its own size; transparent pixels become black.

    Returns:
        uint8 [H, W, 1] of a grey image, [H, W, 3] of any other.

    Raises:
        UnreadableImage: the file is no image, is damaged, or has more than `max_megapixels`.
    """
    image = _over_background(_upright(opener, max_megapixels), 0)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    return np.asarray(image).reshape(image.height, image.width, -1)


def _upright(opener: Callable[[], Image.Image], max_megapixels: float) -> Image.Image:
    from PIL import ImageOps

    try:
        with opener() as image:
            if image.width * image.height > max_megapixels * 1e6:  # the header says so: nothing is decoded yet
                raise UnreadableImage(f"{image.width} × {image.height} pixels, more than max_image_megapixels allows")
            return ImageOps.exif_transpose(image)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them raise
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise UnreadableImage(reason[:_LONGEST_REASON]) from None


def _crop_to_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _over_background(image: Image.Image, background: int) -> Image.Image:
    """The image with 8 bits a channel and without transparency."""
    from PIL import Image

    if image.mode.startswith("I"):  # Pillow's convert would clip 16-bit levels at 255
        levels = np.asarray(image)
        flat = np.rint(levels / 257).astype(np.uint8)
        flat[levels == image.info.get("transparency", -1)] = background
        return Image.fromarray(flat)
    if not image.has_transparency_data:
        return image
    canvas = Image.new("RGBA", image.size, (background, background, background, 255))
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas.convert("RGB")


def _fit_into_square(image: Image.Image, resolution: int, background: int) -> Image.Image:
    """Resizes the longer side to the resolution and pads the shorter one on both sides.

    Lanczos shrinks with antialiasing, but would ring around the hard edges of an enlarged image; bilinear does not.
    """
    from PIL import Image

    scale = resolution / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR)
    if width == height:
        return image
    canvas = Image.new(image.mode, (resolution, resolution), (background,) * len(image.getbands()))
    canvas.paste(image, ((resolution - width) // 2, (resolution - height) // 2))
    return canvas

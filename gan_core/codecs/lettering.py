"""Prepares texts for pictures: a font, and code points instead of the characters that it cannot draw.

Printable ASCII is drawn with Pillow's own font, which has no other letters. Other texts are drawn with DejaVu Sans 2.35
(https://dejavu-fonts.github.io), which has Latin, Greek, Cyrillic, Armenian, Georgian and others. Its licence is
LICENSE-DejaVu. Letters stand side by side from left to right, on every machine: shaping needs a library that not every
system has. So letters that are written from right to left are code points too.
"""

from __future__ import annotations

import functools
import io
import lzma
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

LETTER_PIXELS = 14
"""Size of the letters; few are wider."""
_FONT = Path(__file__).parent / "DejaVuSans.ttf.xz"
_WITHOUT_GLYPH = "\uffff"  # is no character, so a font draws what stands for an unknown one
_FROM_RIGHT = ("R", "AL")


def lettered(texts: Sequence[str], most: int) -> tuple[ImageFont | FreeTypeFont, list[str]]:
    """Returns a font, and the texts that it draws, of which each is shortened to `most` letters.

    A character that the font cannot draw becomes its code point: `<U+4E2D>`.
    """
    if all(text.isascii() and text.isprintable() for text in texts):
        from PIL import ImageFont

        return ImageFont.load_default(LETTER_PIXELS), [_shortened(text, most) for text in texts]
    drawn = ["".join(one if _is_drawn(one) else f"<U+{ord(one):04X}>" for one in text) for text in texts]
    return _dejavu(), [_shortened(text, most) for text in drawn]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@functools.cache
def _dejavu() -> FreeTypeFont:
    from PIL import ImageFont

    content = io.BytesIO(lzma.decompress(_FONT.read_bytes()))
    return ImageFont.truetype(content, LETTER_PIXELS, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=2**12)
def _is_drawn(character: str) -> bool:
    """Whether the font has the character, and draws it where it belongs."""
    glyph, unknown = (bytes(_dejavu().getmask(one)) for one in (character, _WITHOUT_GLYPH))
    return glyph != unknown and unicodedata.bidirectional(character) not in _FROM_RIGHT

"""The codec of texts: a stored array holds a code for each symbol, and 0 after the last one."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gan_core.codecs.codec import Codec
from gan_core.codecs.lettering import LETTER_PIXELS, lettered

MOST_SYMBOLS = 255
JOINERS = "\u200c\u200d"
"""Characters that cannot be seen, but belong to the spelling of Persian and of languages of India."""
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4"
"""Characters that Unicode counts as letters, marks or symbols, but that cannot be seen."""
_MOST_LETTERS_SHOWN = 40


class TextCodec(Codec):
    """Stores a text as codes, uint8 [length, 1, 1]: 1 for the first symbol of the alphabet, and so on.

    Attributes:
        alphabet: the symbols of the data, in the order of their code points.
    """

    modality: Literal["text"] = "text"
    item: ClassVar[str] = "text"
    augmentations: ClassVar[frozenset[str]] = frozenset()
    extractors: ClassVar[tuple[str, ...]] = ("classifier", "ngram")
    alphabet: Annotated[str, Field(min_length=1, max_length=MOST_SYMBOLS)]

    @model_validator(mode="after")
    def _symbols_differ(self) -> Self:
        if list(self.alphabet) != sorted(set(self.alphabet)) or refused_symbol(self.alphabet):
            raise ValueError("the alphabet must hold different symbols that a text may contain, in order")
        if self.shape[1:] != (1, 1):
            raise ValueError("a stored text must have the shape [length, 1, 1]")
        return self

    @property
    def symbols(self) -> int:
        """Number of symbols, with the mark after the last one."""
        return 1 + len(self.alphabet)

    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the codes of a text, which is given as code points followed by zeros."""
        symbols = np.array([0, *map(ord, self.alphabet)], decoded.dtype)
        codes = np.zeros(self.shape, np.uint8)
        count = min(len(decoded), self.shape[0])
        codes[:count, 0, 0] = np.searchsorted(symbols, decoded[:count])
        return codes

    def text(self, array: NDArray[np.uint8]) -> str:
        """Returns the text of an array, uint8 [length, 1, 1], up to the first code that is no symbol's."""
        symbols = dict(enumerate(self.alphabet, start=1))
        return "".join(map(symbols.__getitem__, itertools.takewhile(symbols.__contains__, array[:, 0, 0].tolist())))

    def perceived(self, arrays: NDArray[np.uint8], by: Codec) -> NDArray[np.uint8]:
        """Returns the codes that the codec `by` gives to the texts, which end before a symbol that it does not have."""
        super().perceived(arrays, by)
        by = cast("TextCodec", by)
        codes = np.zeros(256, np.uint8)
        for code, symbol in enumerate(self.alphabet, start=1):
            codes[code] = by.alphabet.find(symbol) + 1
        length = by.shape[0]
        return np.pad(codes[arrays[:, :length]], ((0, 0), (0, max(0, length - self.shape[0])), (0, 0), (0, 0)))

    def texts(self, arrays: NDArray[np.uint8]) -> list[str]:
        """Returns the text of each array, uint8 [B, length, 1, 1]."""
        return [self.text(array) for array in arrays]

    def answer(self, arrays: NDArray[np.uint8]) -> list[str]:
        """Returns the texts."""
        return self.texts(arrays)

    def picture(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Writes a text in black on white, uint8 [28, W, 1]; W is the same for all texts of the codec."""
        font, (text,) = lettered([self.text(array)], _MOST_LETTERS_SHOWN)
        _, symbols = lettered(self.alphabet, _MOST_LETTERS_SHOWN)
        letters = self.shape[0] * max(map(len, symbols))
        return _written(text, font, LETTER_PIXELS * (1 + min(letters, _MOST_LETTERS_SHOWN)))

    def pictures(self, arrays: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Writes the texts in black on white, all as wide as the longest one."""
        font, texts = lettered(self.texts(arrays), _MOST_LETTERS_SHOWN)
        width = max(round(font.getlength(text)) for text in texts) + LETTER_PIXELS
        return np.stack([_written(text, font, width) for text in texts])


def refused_symbol(text: str) -> str:
    """Returns the first character of a text that no text may contain, and nothing if there is none.

    Allowed are visible characters, the space, JOINERS, and selectors of a variation, such as U+FE0F of emoji. Two texts
    that look alike would otherwise be different.
    """
    return next((one for one in text if one in _FILLERS or not (one.isprintable() or one in JOINERS)), "")


def _written(text: str, font: Any, width: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    drawn = Image.new("L", (width, 2 * LETTER_PIXELS), 255)
    ImageDraw.Draw(drawn).text((LETTER_PIXELS // 2, LETTER_PIXELS), text, fill=0, font=font, anchor="lm")
    return np.asarray(drawn)[:, :, None]

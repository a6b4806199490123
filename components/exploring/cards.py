"""Items as the page shows them: pictures, sounds and texts inside the page's HTML, so that no file is served."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.codecs.grid import png_bytes
from gan_core.printing import printable, printable_lines
from gan_core.provenance import marked_wav


@dataclass(frozen=True)
class Card:
    """An item.

    Attributes:
        alt: description of what it shows.
        caption: text below it; may be empty.
        text: the item, if it is a text.
        picture: a PNG file in base64, if it is none.
        sound: a WAV file in base64, if it is a clip.
    """

    alt: str
    caption: str = ""
    text: str | None = None
    picture: str = ""
    sound: str = ""


@dataclass(frozen=True)
class Row:
    """Items with a title; `form` is a class of the page's style."""

    title: str
    cards: list[Card]
    form: str = ""


def cards(
    codec: Codec, arrays: NDArray[np.uint8], alt: str, captions: Sequence[str] = (), marks: Sequence[str] = ()
) -> list[Card]:
    """Returns a card for each array, uint8 [N, H, W, C].

    Args:
        codec: the codec of the arrays.
        arrays: the items.
        alt: what they are: `generated`.
        captions: a caption of each; without any, they have none.
        marks: the XMP packet of each; items that were not generated have none.
    """
    captions, marks = captions or [""] * len(arrays), marks or [""] * len(arrays)
    alts = [f"{codec.item} {number}, {alt}" for number in range(1, len(arrays) + 1)]
    if texts := codec.texts(arrays):
        return [Card(name, caption, text) for name, caption, text in zip(alts, captions, texts, strict=True)]
    sounds = codec.sounds(arrays) or [b""] * len(arrays)
    return [
        Card(
            name,
            caption,
            picture=_text(png_bytes(codec.picture(array), mark)),
            sound=_text(marked_wav(sound, mark) if sound and mark else sound),
        )
        for name, caption, array, sound, mark in zip(alts, captions, arrays, sounds, marks, strict=True)
    ]


def html(columns: Sequence[Sequence[Row]]) -> str:
    """Returns columns of rows as HTML, with all texts escaped."""
    return printable_lines(_template().render(columns=columns))


def paragraphs(sentences: Sequence[str]) -> str:
    """Returns sentences as HTML, escaped."""
    return "".join(f"<p>{escape(printable(one))}</p>" for one in sentences)


@functools.cache
def _template() -> Any:
    import jinja2

    text = Path(__file__).with_name("cards.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()

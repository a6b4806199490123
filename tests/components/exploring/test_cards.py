"""Cards: everything from outside is escaped, and items that were not generated have no mark."""

from __future__ import annotations

import base64
import io

import numpy as np
from datasets import blobs
from PIL import Image

from components.exploring.cards import Card, Row, cards, html, paragraphs
from gan_core.codecs.image import ImageCodec

HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m'


def test_names_and_texts_are_escaped() -> None:
    shown = html([[Row(HOSTILE, [Card(HOSTILE, HOSTILE, text=HOSTILE), Card(HOSTILE, HOSTILE, picture="AAAA")])]])
    shown += paragraphs([HOSTILE])
    assert "<img src=x" not in shown
    assert "\x1b" not in shown
    assert shown.count("&lt;img src=x onerror=") == 6


def test_an_empty_text_is_named() -> None:
    assert "(empty)" in html([[Row("", [Card("a text", text="")])]])


def test_a_picture_keeps_its_pixels_and_only_its_own_mark() -> None:
    images = blobs(2)
    for marks, expected in (((), None), (["<mark/>", "<other/>"], "<other/>")):
        drawn = cards(ImageCodec(shape=images.shape[1:]), images, "real", marks=marks)
        with Image.open(io.BytesIO(base64.b64decode(drawn[1].picture))) as image:
            np.testing.assert_array_equal(np.asarray(image), images[1, :, :, 0])
            assert image.info.get("xmp") == (expected and expected.encode())

"""Tests that pixels are decoded with any metadata. Pytest turns Pillow's warnings into errors."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gan_core.data.decode import decode_whole, open_image
from gan_core.data.side_data import without_side_data

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 3), np.uint8)
LONG = zlib.compress(b"a" * 2**21)
BOMB = zlib.compress(b"a" * 2**27)  # 128 MB
BROKEN = b"II*\0\xff\xff\xff\xff"


def saved(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, form, lossless=True, **options)
    return buffer.getvalue()


def png(*chunks: tuple[bytes, bytes], at_the_end: bool = False) -> bytes:
    content, added = saved("PNG"), b""
    for kind, body in chunks:
        added += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    place = len(content) - 12 if at_the_end else 33
    return content[:place] + added + content[place:]


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    content = saved("JPEG")
    added = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return content[:2] + added + content[2:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Returns an extended WebP file, whose header announces side data."""
    still = saved("WEBP")[12:]
    size = struct.pack("<I", PIXELS.shape[1] - 1)[:3] + struct.pack("<I", PIXELS.shape[0] - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x2c\0\0\0" + size + still
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    start = b"II*\0" if order == "<" else b"MM\0*"
    rows = b"".join(struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return start + struct.pack(f"{order}IH", 8, len(entries)) + rows + bytes(4) + struct.pack("<II", 72, 1)


def decoded(content: bytes) -> np.ndarray:
    return decode_whole(lambda: open_image(content), 1.0)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
ODD_MAKER = (0x010F, 5, 1, struct.pack("<I", 38))
XMP = b'<rdf:Description tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    "content",
    [
        png((b"zTXt", b"workflow\0\0" + LONG)),
        png((b"zTXt", b"Raw profile type exif\0\0" + BOMB)),
        png(*[(b"zTXt", b"prompt%d\0\0" % number + LONG) for number in range(70)]),
        png((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB)),
        png((b"iTXt", b"broken")),
        png((b"iCCP", b"display\0\0" + LONG)),
        png((b"iCCP", b"display\0\7")),
        png((b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03\0")),
        png((b"eXIf", BROKEN)),
        png((b"tEXt", b"Raw profile type exif\0\nexif\n      5\nzzzz")),
        *[png((kind, b"\0")) for kind in (b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"tIME", b"acTL", b"fcTL", b"fdAT")],
        png((b"sRGB", b"")),
        png((b"zTXt", b"late\0\0" + LONG), at_the_end=True),
    ],
    ids=lambda content: repr(content[33:60]),
)
def test_the_pixels_of_a_png_are_decoded(content: bytes) -> None:
    assert np.array_equal(decoded(content), PIXELS)


@pytest.mark.parametrize(
    "segments",
    [
        [(0xE0, b"JFIF\0")],
        [(0xE1, b"Exif\0\0" + BROKEN)],
        [(0xE1, b"Exif\0\0" + b"\0" * 60_000)] * 5,
        [(0xE1, b"Exif\0\0" + tiff((0x0112, 3, 2**31, b"\xff" * 4), (0x8769, 4, 1, b"\xff" * 4)))],
        [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"\xff" * 60_000)],
        [(0xE2, b"ICC_PROFILE\0")],
        [(0xE2, b"MPF\0" + b"\xff" * 20)],
        [(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed")],
        [(0xEE, b"Adobe")],
        [(0xFE, b"\x1b[2J" * 1000)],
    ],
    ids=lambda segments: repr(segments[0][1][:20]),
)
def test_the_pixels_of_a_jpeg_are_decoded(segments: list[tuple[int, bytes]]) -> None:
    assert np.array_equal(decoded(jpeg(*segments)), decoded(saved("JPEG")))


@pytest.mark.parametrize(
    "chunks", [[(b"EXIF", BROKEN)], [(b"XMP ", b"\xff" * 1000), (b"ICCP", b"")], [(b"EXIF", b"E" * 2**20)], []]
)
def test_the_pixels_of_a_webp_are_decoded(chunks: list[tuple[bytes, bytes]]) -> None:
    content = webp(*chunks)
    assert np.array_equal(decoded(content), PIXELS)
    assert np.array_equal(decoded(content[:-1] if chunks else content), PIXELS)  # truncated side data


@pytest.mark.parametrize(
    "content",
    [
        png((b"eXIf", tiff(ODD_MAKER, TURNED))),
        png((b"eXIf", tiff((0x0112, 4, 1, struct.pack(">I", 6)), order=">"))),
        png((b"eXIf", tiff(TURNED)), at_the_end=True),
        png((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  34\n" + tiff(TURNED).hex().encode()))),
        png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        webp((b"EXIF", tiff(ODD_MAKER, TURNED))),
        webp((b"XMP ", XMP)),
    ],
    ids=lambda content: repr(content[33:60]),
)
def test_an_image_is_rotated_by_any_source_of_the_orientation(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        assert opened.getexif()[0x0112] == 6  # as Pillow reads it
    assert np.array_equal(decoded(content), np.rot90(PIXELS, -1))


def test_a_png_with_a_text_that_pillow_refuses_is_rotated() -> None:
    content = png((b"zTXt", b"workflow\0\0" + LONG), (b"eXIf", tiff(TURNED)))
    assert np.array_equal(decoded(content), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("body", [tiff(ODD_MAKER, TURNED), tiff(TURNED, (0x8769, 4, 1, b"\xff" * 4)), None])
def test_a_jpeg_is_rotated_by_exif_or_xmp(body: bytes | None) -> None:
    segment = b"http://ns.adobe.com/xap/1.0/\0" + XMP if body is None else b"Exif\0\0" + body
    assert np.array_equal(decoded(jpeg((0xE1, segment))), np.rot90(decoded(saved("JPEG")), -1))


def test_a_file_without_side_data_is_returned_unchanged() -> None:
    for content in (saved("PNG"), saved("JPEG"), saved("WEBP"), b"", b"GIF89a", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        assert without_side_data(content) == (content, 1)


@pytest.mark.parametrize("size", range(0, 60, 3))
def test_a_truncated_file_raises_nothing(size: int) -> None:
    for content in (png((b"eXIf", tiff(TURNED))), jpeg((0xE1, b"Exif\0\0" + tiff(TURNED))), webp((b"EXIF", BROKEN))):
        without_side_data(content[:size])


def test_an_animated_png_gives_its_first_frame() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1])]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    assert PngImagePlugin.PngImageFile(io.BytesIO(buffer.getvalue())).n_frames == 2
    assert np.array_equal(decoded(buffer.getvalue()), PIXELS)

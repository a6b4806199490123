"""Removes the side data of an image file: EXIF, XMP, colour profiles, texts, thumbnails.

Side data is often large or broken although the pixels are intact, and Pillow refuses such files or warns about them. So
Pillow never reads side data. Only the orientation is read from it, by this module. Pixel data is passed on byte for
byte, even if it is damaged.

Reference: PNG (third edition), section 5; ITU-T T.81, annex B; RFC 9649 (WebP), section 2; EXIF 2.3, section 4.6.4.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

UPRIGHT = 1
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "L"}  # EXIF types: BYTE, SHORT, LONG
_LONGEST_TEXT_BYTES = 2**20
_EXIF = b"Exif\0\0"
_PNG_EXIF, _PNG_RAW_EXIF, _PNG_XMP = b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def without_side_data(content: bytes) -> tuple[bytes, int]:
    """Splits a PNG, JPEG or WebP file into its pixel data and its orientation.

    Returns:
        The file without side data, and the EXIF orientation 1..8; 1 (upright) if none can be read. A file of another
            kind is returned unchanged.
    """
    if content.startswith(_PNG_SIGNATURE):
        return _of_png(content)
    if content.startswith(b"\xff\xd8"):
        return _of_jpeg(content)
    if content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8X":
        return _of_webp(content)
    return content, UPRIGHT


def _of_png(content: bytes) -> tuple[bytes, int]:
    """Keeps the critical chunks and tRNS. This reduces an animated file to its still image."""
    kept, texts, exif, start = bytearray(_PNG_SIGNATURE), dict[bytes, bytes](), None, len(_PNG_SIGNATURE)
    while start + 8 <= len(content):
        (length,), kind = struct.unpack_from(">I", content, start), content[start + 4 : start + 8]
        end = start + 12 + length
        body = memoryview(content)[start + 8 : end - 4]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            texts.update(_png_text(kind, bytes(body[:_LONGEST_TEXT_BYTES])))
        elif kind == b"eXIf":
            exif = bytes(body)
        elif kind == b"tRNS" or not kind[0] & 0x20:
            kept += content[start:end]
        start = end
    if exif is None:
        exif = texts.get(_PNG_EXIF) or _raw_profile(texts.get(_PNG_RAW_EXIF, b""))
    return bytes(kept), _orientation(exif, texts.get(_PNG_XMP, b""))


def _png_text(kind: bytes, body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (keyword, first megabyte of the text) if the text may contain the orientation."""
    keyword, _, text = body.partition(b"\0")
    if keyword not in (_PNG_EXIF, _PNG_RAW_EXIF, _PNG_XMP):
        return
    compressed = kind == b"zTXt"
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, _LONGEST_TEXT_BYTES)
        except zlib.error:
            return
    yield keyword, text


def _raw_profile(text: bytes) -> bytes:
    """Returns the EXIF data in ImageMagick's text: a line feed, a name, a length, then hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _of_jpeg(content: bytes) -> tuple[bytes, int]:
    """Keeps the segments that decoding needs, including JFIF (APP0) and Adobe (APP14), which define the colours."""
    kept, exif, xmp, start = bytearray(content[:2]), b"", b"", 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker, (length,) = content[start + 1], struct.unpack_from(">H", content, start + 2)
        if marker == 0xFF:  # padding
            start += 1
            continue
        if not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA:  # scans follow, or no segment
            break
        end = start + 2 + length
        body = content[start + 4 : end]
        if marker == 0xE1 and body.startswith(_EXIF):
            exif += body[len(_EXIF) :]
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = body
        telling = (marker == 0xE0 and len(body) >= 14) or (marker == 0xEE and len(body) >= 12)
        if telling or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept += content[start:end]
        start = end
    return bytes(kept) + content[start:], _orientation(exif, xmp)


def _of_webp(content: bytes) -> tuple[bytes, int]:
    """Drops the chunks ICCP, EXIF and XMP, and the flags that announce them."""
    (length,) = struct.unpack_from("<I", content, 4)
    content = content[: 8 + length]
    kept, dropped, start = bytearray(), dict[bytes, bytes](), 12
    while start + 8 <= len(content):
        kind, (length,) = content[start : start + 4], struct.unpack_from("<I", content, start + 4)
        end = start + 8 + length + length % 2
        if kind in (b"ICCP", b"EXIF", b"XMP "):
            dropped[kind] = content[start + 8 : start + 8 + length]
        elif kind == b"VP8X" and start + 8 < len(content):
            flags = content[start + 8] & ~0b101100
            kept += content[start : start + 8] + bytes([flags]) + content[start + 9 : end]
        else:
            kept += content[start:end]
        start = end
    header = b"RIFF" + struct.pack("<I", 4 + len(kept)) + b"WEBP"
    return header + kept, _orientation(dropped.get(b"EXIF", b""), dropped.get(b"XMP ", b""))


def _orientation(exif: bytes, xmp: bytes) -> int:
    """Returns the orientation in the EXIF data or, if there is none, in the XMP packet."""
    found = _exif_orientation(exif.removeprefix(_EXIF))
    if found is None and (said := re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp)):
        found = int(said[1])
    return found if found is not None and 1 <= found <= 8 else UPRIGHT


def _exif_orientation(tiff: bytes) -> int | None:
    """Returns the orientation in the first directory of TIFF data; None if it has none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHL", tiff, entry)
            if tag == _ORIENTATION_TAG and values == 1 and kind in _INTEGERS:
                (orientation,) = struct.unpack_from(order + _INTEGERS[kind], tiff, entry + 8)
                return int(orientation)
    except struct.error:  # the data ends too early
        pass
    return None

"""Tells a sound file that was cut off or damaged from a whole one, where libsndfile would read what is left of it.

libsndfile itself reports the other cases: a FLAC file, and an MP3 file whose header counts its frames.

References: Microsoft and IBM 1991, Multimedia programming interface and data specifications 1.0 (RIFF); RFC 3533 (Ogg).
"""

from __future__ import annotations

import struct
import zlib

from gan_core.errors import UnreadableItem

_TO_THE_END = 0xFFFFFFFF
"""The size from which libsndfile reads a WAV file to its end."""
_NO_SIZE = 0x7FFF0000
"""Programs that write WAV to a pipe cannot know its size, and write one from here to 0xFFFFFFFF, or 0."""
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def require_whole(content: bytes) -> bytes:
    """Checks the length that a WAV file announces, and all pages of an Ogg file. Other content is returned unchanged.

    Returns:
        the content; the size in a WAV file's header that was written to a pipe as 0 is replaced, so that libsndfile
        reads all samples.

    Raises:
        UnreadableItem: the end is missing, or a page is damaged.
    """
    if content[:4] in (b"RIFF", b"RIFX") and content[8:12] == b"WAVE":
        return _whole_wav(content, struct.Struct("<I" if content[:4] == b"RIFF" else ">I"))
    if content.startswith(b"OggS"):
        _require_pages(content)
    return content


def is_estimated_mp3(content: bytes) -> bool:
    """Whether an MP3 file has no count of its frames (Xing, Info), so that libsndfile estimates its length."""
    start = 0
    if content.startswith(b"ID3") and len(content) >= 10:
        start = 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(content[6:10])))
    frame = content[start : start + 200]
    return b"Xing" not in frame and b"Info" not in frame


def _whole_wav(content: bytes, number: struct.Struct) -> bytes:
    start = 12
    while start + 8 <= len(content):
        name, (size,) = content[start : start + 4], number.unpack_from(content, start + 4)
        start += 8
        if name != b"data":
            start += size + size % 2
            continue
        (whole,) = number.unpack_from(content, 4)
        if size == 0 and (whole + 8 <= start or whole >= _NO_SIZE):  # no chunk can follow
            return content[: start - 4] + number.pack(_TO_THE_END) + content[start:]
        if start + size > len(content) and size < _NO_SIZE:
            raise UnreadableItem(f"cut off: {len(content) - start} of {size} bytes of samples")
        break
    return content


def _require_pages(content: bytes) -> None:
    """Checks the length and the checksum of each page. libogg skips a damaged page, and what depends on it."""
    start = 0
    while content.startswith(b"OggS", start):
        segments = start + 27
        body = segments + content[segments - 1] if segments <= len(content) else segments
        end = body + sum(content[segments:body])
        if end > len(content):
            raise UnreadableItem(f"cut off: {len(content) - start} of at least {end - start} bytes of its last page")
        page = content[start : start + 22] + bytes(4) + content[start + 26 : end]
        if _checksum(page) != int.from_bytes(content[start + 22 : start + 26], "little"):
            raise UnreadableItem(f"damaged: the page at byte {start} does not have its checksum")
        start = end
    if content.find(b"OggS", start) >= 0:
        raise UnreadableItem(f"damaged: no page begins at byte {start}")


def _checksum(page: bytes) -> int:
    """Returns Ogg's CRC-32, which is zlib's with the bits of each byte, and of the result, in the other order."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), _TO_THE_END) ^ _TO_THE_END
    return int(f"{mirrored:032b}"[::-1], 2)

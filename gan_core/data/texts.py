"""Reads texts: files of UTF-8 with one text in a line, and the built-in names."""

from __future__ import annotations

import hashlib
import lzma
import unicodedata
from pathlib import Path

from gan_core.codecs.text import refused_symbol
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import character_name, printable
from gan_core.untrusted_files import read_bytes

NAMES_FOLDER = Path(__file__).parent / "embedded"
NAMES_CLASSES = ("female", "male", "surname")
LARGEST_FILE_BYTES = 2**28
LONGEST_LINE_BYTES = 2**12
_SHA256 = "a54d07c60cdb82632e7224babd8c42eb183004d32e92b5d9057e2dfd36d9a904"
"""SHA-256 of the names of all classes, each followed by a line break."""


def read_texts(path: Path) -> list[str]:
    """Reads the texts of a file, one in a line; empty lines are left out.

    Texts are normalised to NFC, because a letter with an accent can be written as one or as two characters. A byte
    order mark and the carriage returns of Windows are dropped.

    Raises:
        InvalidInput: the file cannot be read or is too large, or a line is too long, is not UTF-8, or contains a
            character that a text may not contain. The message names the line and the character.
    """
    place = printable(str(path))
    try:
        content = read_bytes(path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise InvalidInput(f"A file of texts must be readable: {error.strerror}. Received: {place}") from None
    return texts_in(content, place)


def texts_in(content: bytes, place: str) -> list[str]:
    """Returns the texts in the content of a file; see `read_texts`.

    Raises:
        InvalidInput: as `read_texts`.
    """
    texts = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        text, problem = _text(line.removesuffix(b"\r"))
        if problem:
            raise InvalidInput(f"Each line of a file of texts must {problem}. Received: line {number} of {place}")
        if text:
            texts.append(text)
    return texts


def read_text(content: bytes) -> str:
    """Returns one text, normalised like those of a file.

    Raises:
        UnreadableItem: it is empty, too long, not UTF-8, or contains a character that a text may not contain.
    """
    text, problem = _text(content)
    if problem or not text:
        raise UnreadableItem(f"a text must {problem or 'not be empty'}")
    return text


def names() -> list[list[str]]:
    """Returns the built-in names, in capitals, for each of `NAMES_CLASSES`: 4,275, 1,219 and 88,799.

    They are those that were frequent in the census of the United States of 1990.
    """
    contents = [lzma.decompress((NAMES_FOLDER / f"names-{name}.xz").read_bytes()) for name in NAMES_CLASSES]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()
    if digest != _SHA256:
        raise InvalidInput(f"The built-in names must have SHA-256 {_SHA256}. Received: {digest}")
    return [content.decode("ascii").split() for content in contents]


def _text(line: bytes) -> tuple[str, str | None]:
    """Returns the text of a line, and what is wrong with it or None."""
    if len(line) > LONGEST_LINE_BYTES:
        return "", f"have at most {LONGEST_LINE_BYTES} bytes"
    try:
        text = unicodedata.normalize("NFC", line.decode("utf-8"))
    except UnicodeDecodeError:
        return "", "be UTF-8"
    if symbol := refused_symbol(text):
        return "", f"contain only printable characters, spaces, U+200C and U+200D, and no {character_name(symbol)}"
    return text.strip(" "), None

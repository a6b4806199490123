"""Checks file names that come from outside, from a DVC listing or a bucket, before anything is written."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gan_core.errors import InvalidInput

MOST_FILES = 1_000_000
MOST_BYTES = 1024  # of a name; the limit of buckets
MOST_BYTES_OF_A_PART = 255  # the limit of file systems


def require_names(names: Sequence[str], source: str) -> None:
    """Checks that the names can all be files below one folder, on every file system.

    Args:
        names: paths with slashes, relative to the folder.
        source: where the names were found, for the message.

    Raises:
        InvalidInput: there are too many names, one is invalid, or two names conflict.
    """
    if len(names) > MOST_FILES:
        raise InvalidInput(f"There must be at most {MOST_FILES} files. Received: {len(names)} in {source}")
    files: set[str] = set()
    places: dict[str, str] = {}
    for name in names:
        require_inside(name)
        if name in files:
            raise InvalidInput(f"File names must be unique. Received: {name!r} twice in {source}")
        files.add(name)
        place = name
        while place and places.get(key := _folded(place)) != place:
            if key in places:
                raise InvalidInput(
                    "File names must differ in more than upper and lower case, because some file systems ignore case. "
                    f"Received: {places[key]!r} and {place!r} in {source}"
                )
            places[key] = place
            place = place.rpartition("/")[0]
    for name in names:
        folder = name.rpartition("/")[0]
        while folder:
            if folder in files:
                raise InvalidInput(
                    f"A name must not be both a file and a folder. Received: {folder!r} and {name!r} in {source}"
                )
            folder = folder.rpartition("/")[0]


def require_inside(name: str) -> None:
    """Checks that a name is valid for a file below the folder that it is written to.

    Raises:
        InvalidInput: it is absolute, goes up, has an empty part, a backslash or a control character, or is too long.
    """
    parts = name.split("/")
    rules = {
        "no empty part": "" in parts,
        "no part . or ..": bool({".", ".."} & set(parts)),
        "no control character and no backslash": any(
            character == "\\" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name
        ),
        f"at most {MOST_BYTES_OF_A_PART} bytes between two slashes": max(map(_bytes, parts)) > MOST_BYTES_OF_A_PART,
        f"at most {MOST_BYTES} bytes": _bytes(name) > MOST_BYTES,
    }
    for rule, is_broken in rules.items():
        if is_broken:
            raise InvalidInput(f"A file's name must be a path below its folder with {rule}. Received: {name[:300]!r}")


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _folded(name: str) -> str:
    """Returns the same text for names that a file system may treat as equal: A and a, é as one character or two."""
    return unicodedata.normalize("NFC", name).casefold()

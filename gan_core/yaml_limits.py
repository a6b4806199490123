"""Limits on YAML text, checked before parsing.

An alias costs four characters and stands for everything that it names, so a few lines of nested aliases can become
billions of values when something walks through them ("billion laughs"). This project's files need one or two aliases.
"""

from __future__ import annotations

import re
from pathlib import Path

from gan_core.errors import InvalidInput

MOST_CHARACTERS = 2**20
_MOST_BYTES = 4 * MOST_CHARACTERS
MOST_ALIASES = 8  # at most three levels of aliases, about twenty times the text


def read_modest(path: Path) -> str:
    """Returns the text of a UTF-8 file, checked by `require_modest`; reads no more than the largest text allowed.

    Raises:
        InvalidInput: as for `require_modest`.
        OSError: it cannot be read or is not a file.
        ValueError: it is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"A YAML text must have at most {MOST_CHARACTERS} characters. Received: {path}")
    return require_modest(content.decode("utf-8-sig"), path)


def require_modest(text: str, place: object) -> str:
    """Returns the text, found at `place`, if parsing cannot make it much larger.

    Raises:
        InvalidInput: it is too long or has too many aliases. Any asterisk before a name counts, even inside a string.
    """
    aliases = len(re.findall(r"\*[^\s,\[\]{}]", text))
    if len(text) > MOST_CHARACTERS or aliases > MOST_ALIASES:
        raise InvalidInput(
            f"A YAML text must have at most {MOST_CHARACTERS} characters and {MOST_ALIASES} aliases (*name). "
            f"Received: {place} with {len(text)} and {aliases}"
        )
    return text

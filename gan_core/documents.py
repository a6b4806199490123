"""Limits on text in YAML, before a parser sees it.

An alias costs four characters and stands for all that it names, so a few lines of aliases of aliases can be billions of
values once something walks through them ("billion laughs"). The parsers of this project's files need one or two.
"""

from __future__ import annotations

import re

from gan_core.errors import InvalidInput

MOST_CHARACTERS = 2**20
MOST_ALIASES = 8  # three levels of aliases at most, some twenty times the text


def require_modest(text: str, place: object) -> str:
    """Returns the text, found at `place`, if it cannot become much larger than it is.

    Raises:
        InvalidInput: it is too long or has too many aliases. Any asterisk before a name counts, also in a string.
    """
    aliases = len(re.findall(r"\*[^\s,\[\]{}]", text))
    if len(text) > MOST_CHARACTERS or aliases > MOST_ALIASES:
        raise InvalidInput(
            f"A YAML text must have at most {MOST_CHARACTERS} characters and {MOST_ALIASES} aliases (*name). "
            f"Received: {place} with {len(text)} and {aliases}"
        )
    return text

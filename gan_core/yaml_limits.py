"""Limits on YAML text from outside, checked before parsing.

An alias has four characters but stands for everything that it names. So a few lines of nested aliases can become
billions of values when a program walks through them ("billion laughs"). DVC pointers and compiled pipelines need one or
two aliases.
"""

from __future__ import annotations

import re

from gan_core.errors import InvalidInput

MOST_CHARACTERS = 2**20
MOST_ALIASES = 8  # at most three levels of aliases, about twenty times the text


def require_bounded(text: str, place: object) -> str:
    """Returns the text if parsing cannot make it much larger; `place` says in messages where it was found.

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

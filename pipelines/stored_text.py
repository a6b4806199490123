"""What Kubeflow's database can store. Its server starts a run's workflow before it fails to store the run."""

from __future__ import annotations

import json

from gan_core.errors import InvalidInput

MOST_CHARACTERS = 255
"""Longest name or description. Kubeflow's columns are no longer."""
_LAST_CHARACTER = "\uffff"  # the columns hold MySQL's utf8, which has three bytes a character


def require_name(name: str, what: str) -> None:
    """Checks that Kubeflow can store a name; `what` is the option or key that gave it.

    Raises:
        InvalidInput: it is empty, too long or has characters such as emoji.
    """
    if not 1 <= len(name) <= MOST_CHARACTERS:
        raise InvalidInput(f"{what} must have 1 to {MOST_CHARACTERS} characters. Received: {len(name)}")
    require_storable(name, what)


def require_storable(values: object, what: str) -> None:
    """Checks that Kubeflow can store all text in `values`, which may be nested.

    Raises:
        InvalidInput: a character has a code above U+FFFF.
    """
    if large := [one for one in json.dumps(values, ensure_ascii=False) if one > _LAST_CHARACTER]:
        raise InvalidInput(
            f"{what} must not have characters above U+FFFF, such as emoji, because Kubeflow's database cannot store "
            f"them. Received: {large[0]} (U+{ord(large[0]):X})"
        )

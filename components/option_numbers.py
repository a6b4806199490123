"""Numbers on a command line: finite, and within the limits of their option."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from gan_core.errors import InvalidInput

_Number = TypeVar("_Number", int, float)


def number(option: str, kind: type[_Number], low: _Number, high: _Number) -> Callable[[str], _Number]:
    """Reads an option's number from `low` to `high`, both allowed; to be the option's `type`.

    Raises:
        InvalidInput: the text is no such number; nan is none.
    """

    def read(text: str) -> _Number:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        what = "a whole number" if kind is int else "a number"
        raise InvalidInput(f"{option} must be {what} from {low} to {high}. Received: {text!r}")

    return read

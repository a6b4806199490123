"""Numeric options of a command, which must be finite and within limits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from gan_core.errors import InvalidInput

_Number = TypeVar("_Number", int, float)


def number(option: str, kind: type[_Number], low: _Number, high: _Number) -> Callable[[str], _Number]:
    """Returns an option's argparse `type`, which reads a number from `low` to `high`, both included.

    Raises:
        InvalidInput: the returned function raises it if the text is not such a number; nan is not one.
    """

    def read(text: str) -> _Number:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        what = "a whole number" if kind is int else "a number"
        raise InvalidInput(f"{option} must be {what} from {low} to {high}. Received: {text!r}")

    return read

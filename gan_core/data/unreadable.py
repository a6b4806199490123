"""Turns whatever a decoder raises into the reason why an item cannot be used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable

_LONGEST_REASON = 200


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Turns exceptions into UnreadableItem, because a damaged file can make a decoder raise nearly anything.

    A failure that is not of one item passes.
    """
    try:
        yield
    except (InvalidInput, TryAgain, UnreadableItem):
        raise
    except Exception as error:
        # soundfile has the sentence of its library in `error_string`, and a prefix in the text.
        said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise UnreadableItem(printable(said.removesuffix(".") or type(error).__name__)[:_LONGEST_REASON]) from None

"""Checks Kubeflow's cron expressions: six fields, seconds first. Five fields would run at the wrong times."""

from __future__ import annotations

from gan_core.errors import InvalidInput

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)
"""Lowest and highest number of each field, and the names that may replace its numbers."""


def require_cron(expression: str) -> None:
    """Checks an expression: `*`, `?`, numbers, names of months and weekdays, lists, ranges and steps.

    The server would refuse a wrong expression only after other schedules have been changed.

    Raises:
        InvalidInput: the expression does not have six fields, or a field is wrong.
    """
    fields = expression.split()
    if len(fields) == 5:
        raise InvalidInput(
            "A schedule must have six fields, seconds first: Kubeflow reads five as seconds, minutes, hours and so on. "
            f"For the usual meaning write '0 {expression}'. Received: cron={expression!r}"
        )
    if len(fields) != 6:
        raise InvalidInput(f"A schedule must have six fields, seconds first. Received: cron={expression!r}")
    try:
        for field, (low, high, names) in zip(fields, _FIELDS, strict=True):
            for part in field.split(","):
                _require_part(part, low, high, names)
    except ValueError as error:
        raise InvalidInput(f"The schedule is not valid: {error}. Received: cron={expression!r}") from None


def _require_part(part: str, low: int, high: int, names: tuple[str, ...]) -> None:
    span, slash, step = part.partition("/")
    if slash:
        _number(step, 1, high, ())
    if span not in ("*", "?"):
        ends = [_number(end, low, high, names) for end in span.split("-", 1)]
        if ends != sorted(ends):
            raise ValueError(f"a range must rise, not {span}")


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + low
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"a field must be from {low} to {high}, not {text!r}")
    return int(text)

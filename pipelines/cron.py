"""Kubeflow's cron expressions: six fields, seconds first. Five fields would run at the wrong times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from gan_core.errors import InvalidInput

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
HORIZON_YEARS = 5  # an expression with no time within this span has none


@dataclass(frozen=True)
class Cron:
    """The times of day and the days on which a schedule starts. Weekdays count from Sunday, 0."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, expression: str) -> Cron:
        """Reads an expression: `*`, `?`, numbers, names of months and weekdays, lists, ranges and steps.

        Raises:
            InvalidInput: the expression does not have six fields, or a field is wrong.
        """
        fields = expression.split()
        if len(fields) == 5:
            raise InvalidInput(
                "A schedule must have six fields, seconds first: with five, Kubeflow takes the minutes for seconds and "
                f"the hours for minutes. For the usual meaning write '0 {expression}'. Received: cron={expression!r}"
            )
        if len(fields) != 6:
            raise InvalidInput(f"A schedule must have six fields, seconds first. Received: cron={expression!r}")
        limits: list[tuple[int, int, tuple[str, ...]]] = [
            (0, 59, ()),
            (0, 59, ()),
            (0, 23, ()),
            (1, 31, ()),
            (1, 12, MONTHS),
            (0, 6, WEEKDAYS),
        ]
        try:
            sets = [_values(field, *limit) for field, limit in zip(fields, limits, strict=True)]
        except ValueError as error:
            raise InvalidInput(f"The schedule is not valid: {error}. Received: cron={expression!r}") from None
        seconds, minutes, hours, days, months, weekdays = sets
        open_ended = (fields[3][0] in "*?", fields[5][0] in "*?")
        return cls(seconds, minutes, hours, days, months, weekdays, *open_ended)

    def times(self, after: datetime) -> Iterator[datetime]:
        """The times after `after`, in order, for at most five years."""
        clock = [
            time(hour, minute, second, tzinfo=after.tzinfo)
            for hour, minute, second in itertools.product(*map(sorted, (self.hours, self.minutes, self.seconds)))
        ]
        for distance in range(366 * HORIZON_YEARS):
            day = after.date() + timedelta(days=distance)
            if self._matches(day):
                yield from (moment for at in clock if (moment := datetime.combine(day, at)) > after)

    def _matches(self, day: date) -> bool:
        """Whether the schedule starts on `day`. As in cron, either is enough if both day and weekday are restricted."""
        on_day, on_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        either = not self.any_day and not self.any_weekday
        return day.month in self.months and (on_day or on_weekday if either else on_day and on_weekday)


def _values(field: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step_text = part.partition("/")
        step = _number(step_text, 1, high) if "/" in part else 1
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, _, end = span.partition("-")
            first = _number(start, low, high, names)
            # A single start with a step runs to the end of the field: 5/15 is 5, 20, 35, 50.
            last = _number(end, low, high, names) if "-" in span else (high if "/" in part else first)
        if first > last:
            raise ValueError(f"a range must rise, not {span}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + low
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"a field must be from {low} to {high}, not {text!r}")
    return int(text)

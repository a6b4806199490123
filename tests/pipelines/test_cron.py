"""Six-field cron against dateutil's recurrence rules, an implementation that shares nothing with ours."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.errors import InvalidInput
from pipelines.cron import Cron

UTC = ZoneInfo("UTC")
START = datetime(2026, 11, 23, 5, 30, 15, tzinfo=UTC)  # a Monday


def subset(low: int, high: int):
    return st.sets(st.integers(low, high), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    seconds=subset(0, 59),
    minutes=subset(0, 59),
    hours=subset(0, 23),
    days=st.none() | subset(1, 28),
    months=st.none() | subset(1, 12),
    weekdays=st.none() | subset(0, 6),
)
def test_times_agree_with_recurrence_rules(seconds, minutes, hours, days, months, weekdays) -> None:
    fields = [seconds, minutes, hours, days, months, weekdays]
    expression = " ".join("*" if field is None else ",".join(map(str, field)) for field in fields)

    def rule(**restriction):
        return rrule.rrule(
            rrule.DAILY,
            dtstart=START + timedelta(seconds=1),
            bysecond=seconds,
            byminute=minutes,
            byhour=hours,
            bymonth=months,
            count=4,
            **restriction,
        )

    # rrule counts weekdays from Monday, and has no "either the day or the weekday".
    from_monday = None if weekdays is None else {(day - 1) % 7 for day in weekdays}
    if days and weekdays:
        expected = sorted({*rule(bymonthday=days), *rule(byweekday=from_monday)})
    else:
        expected = list(rule(bymonthday=days, byweekday=from_monday))
    assert list(itertools.islice(Cron.parse(expression).times(START), 3)) == expected[:3]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 3 * * 1", ["2026-11-30 03:00:00", "2026-12-07 03:00:00"]),
        ("0 0 3 ? * MON", ["2026-11-30 03:00:00", "2026-12-07 03:00:00"]),
        ("30 */20 5 * * *", ["2026-11-23 05:40:30", "2026-11-24 05:00:30"]),
        ("0 5/25 6 * * *", ["2026-11-23 06:05:00", "2026-11-23 06:30:00"]),
        ("0 0 0 29 feb *", ["2028-02-29 00:00:00"]),
        ("0 0 12 1-3 jan-feb *", ["2027-01-01 12:00:00", "2027-01-02 12:00:00"]),
        ("16 30 5 * * *", ["2026-11-23 05:30:16", "2026-11-24 05:30:16"]),
        ("15 30 5 * * *", ["2026-11-24 05:30:15"]),
    ],
)
def test_known_times(expression, expected) -> None:
    times = itertools.islice(Cron.parse(expression).times(START), len(expected))
    assert [f"{at:%Y-%m-%d %H:%M:%S}" for at in times] == expected


def test_five_fields_are_refused_with_the_reason_and_the_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"seconds first.*write '0 0 2 \* \* \*'"):
        Cron.parse("0 2 * * *")


@pytest.mark.parametrize(
    "expression",
    [
        *("", "@weekly", "60 0 0 * * *", "0 0 24 * * *", "0 0 0 0 * *", "0 0 0 * 13 *", "0 0 0 * * 7", "0 0 0 * * 5-1"),
        *("0 */0 * * * *", "0 a * * * *", "0 1-2-3 * * * *", "0 1,, * * * *", "-1 * * * * *", "0 0 0 * * * *"),
    ],
)
def test_what_kubeflow_would_not_take_is_refused(expression) -> None:
    with pytest.raises(InvalidInput, match="Received: cron="):
        Cron.parse(expression)


def test_an_impossible_day_never_comes() -> None:
    assert list(Cron.parse("0 0 0 30 2 *").times(START)) == []

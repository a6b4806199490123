"""Tests of class accuracies: their intervals, names and limits."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from gan_core.evaluation.accuracy_record import ClassAccuracy, Recognised


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    [(9, 10, 0.596, 0.982), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (295, 302, 0.953, 0.989), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_those_of_wilson(correct: int, count: int, low: float, high: float) -> None:
    assert Recognised(correct=correct, count=count).interval == pytest.approx((low, high), abs=5e-4)


def test_totals_weigh_each_example_equally_and_have_standard_names() -> None:
    real = (Recognised(correct=1, count=1), Recognised(correct=1, count=3))
    generated = (Recognised(correct=0, count=0), Recognised(correct=0, count=0))
    accuracy = ClassAccuracy(classes=("a", "b"), real=real, generated=generated)
    assert accuracy.totals()["real"] == Recognised(correct=2, count=4)
    low, high = accuracy.totals()["real"].interval
    assert accuracy.metrics() == {
        "class_accuracy_real": 0.5,
        "intervals.class_accuracy_real.low": low,
        "intervals.class_accuracy_real.high": high,
    }
    assert math.isnan(accuracy.totals()["generated"].share)
    assert accuracy.largest_share == 0.75
    assert "codec" not in accuracy.model_dump()
    assert "codec" in accuracy.model_copy(update={"codec": real}).columns()


def test_impossible_accuracies_are_refused() -> None:
    with pytest.raises(ValidationError, match="correct must be at most count"):
        Recognised(correct=2, count=1)
    with pytest.raises(ValidationError, match="an entry for each class"):
        ClassAccuracy(classes=("a",), real=(), generated=())

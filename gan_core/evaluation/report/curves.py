"""Computes the curves that the page draws as SVG lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 26
FEW_POINTS = 30


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis, in pixels."""

    position: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart of lines over images seen.

    Attributes:
        title: what is drawn.
        lines: name and points "x,y x,y …" of each line.
        x_ticks: ticks of the axis of images seen.
        y_ticks: ticks of the axis of values.
        marked: whether each point is marked, which is the case if there are few.
        summary: the lines' last values as text.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marked: bool
    summary: str


def chart(title: str, images_seen: Sequence[float], lines: Mapping[str, Sequence[float]], item: str) -> Chart | None:
    """Draws lines over images seen, which the summary calls `item`.

    Values that are not finite are left out. Returns None if nothing can be drawn.
    """
    finite = [value for values in lines.values() for value in values if math.isfinite(value)]
    if len(images_seen) < 2 or not finite:
        return None
    x_ticks, y_ticks = _ticks(min(images_seen), max(images_seen)), _ticks(min(finite), max(finite))

    def x(value: float) -> float:
        return LEFT + (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    point_lists = []
    for name, values in lines.items():
        points = [(x(seen), y(value)) for seen, value in zip(images_seen, values, strict=True) if math.isfinite(value)]
        point_lists.append((name, " ".join(f"{a:.1f},{b:.1f}" for a, b in points)))
    last = ", ".join(f"{name} {_last(values)}" for name, values in lines.items())
    return Chart(
        title,
        tuple(point_lists),
        tuple(Tick(x(value), _short(value)) for value in x_ticks),
        tuple(Tick(y(value), _short(value)) for value in y_ticks),
        len(finite) <= FEW_POINTS * len(lines),
        f"{title} after {_short(images_seen[-1])} {item}s: {last}",
    )


def _last(values: Sequence[float]) -> str:
    """The last finite value."""
    return next((f"{value:.3g}" for value in reversed(values) if math.isfinite(value)), "unknown")


def _ticks(low: float, high: float) -> list[float]:
    """About five round values that enclose low and high."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= span / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * multiple for multiple in range(first, max(last, first + 1) + 1)]


def _short(value: float) -> str:
    """The value in about five characters or fewer: 1.2M, 64k, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"

"""Curves as scalable vector graphics that take their colours from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 26
FEW = 30


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in pixels."""

    place: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Lines over images seen.

    Attributes:
        title: what is drawn.
        lines: name and the points "x,y x,y …" of each line.
        across: ticks of images seen.
        up: ticks of the figure.
        marked: whether each point is marked: there are few of them.
        summary: the lines' last values, in words.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    marked: bool
    summary: str


def chart(title: str, images_seen: Sequence[float], lines: Mapping[str, Sequence[float]]) -> Chart | None:
    """Draws lines over images seen; values that are not finite leave gaps out. None if nothing can be drawn."""
    finite = [value for values in lines.values() for value in values if math.isfinite(value)]
    if len(images_seen) < 2 or not finite:
        return None
    across, up = _ticks(min(images_seen), max(images_seen)), _ticks(min(finite), max(finite))

    def x(value: float) -> float:
        return LEFT + (value - across[0]) / (across[-1] - across[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - up[0]) / (up[-1] - up[0]) * (HEIGHT - TOP - BOTTOM)

    drawn = []
    for name, values in lines.items():
        points = [(x(seen), y(value)) for seen, value in zip(images_seen, values, strict=True) if math.isfinite(value)]
        drawn.append((name, " ".join(f"{a:.1f},{b:.1f}" for a, b in points)))
    last = ", ".join(f"{name} {_last(values)}" for name, values in lines.items())
    return Chart(
        title,
        tuple(drawn),
        tuple(Tick(x(value), _short(value)) for value in across),
        tuple(Tick(y(value), _short(value)) for value in up),
        len(finite) <= FEW * len(lines),
        f"{title} after {_short(images_seen[-1])} images: {last}",
    )


def _last(values: Sequence[float]) -> str:
    """The last finite one."""
    return next((f"{value:.3g}" for value in reversed(values) if math.isfinite(value)), "unknown")


def _ticks(low: float, high: float) -> list[float]:
    """About five round values that enclose low and high."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= span / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * place for place in range(first, max(last, first + 1) + 1)]


def _short(value: float) -> str:
    """The value in at most five characters or so: 1.2M, 64k, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"

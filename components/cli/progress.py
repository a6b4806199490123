"""Shows the progress of a long loop: a bar on a terminal, or a plain line every ten seconds in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

_FORMAT = "{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
_BAR_FORMAT = _FORMAT.replace("{desc}:", "{desc}: {percentage:3.0f}% {bar}")
_SECONDS_BETWEEN_LINES = 10
_Moment = tuple[float, int]  # seconds of a clock, and the count at that time


class Progress(Protocol):
    """A running count."""

    def advance(self, count: int, **figures: float) -> None:
        """Adds `count`; shows `figures` next to the count until the next call with figures."""


@contextlib.contextmanager
def progress(total: int, unit: str, description: str, initial: int = 0) -> Iterator[Progress]:
    """Shows on stderr how many of `total` are done, the rate, the remaining time and the loop's own figures.

    The rate leaves out the first step, which includes one-off work such as compilation.

    Args:
        total: the count at the end.
        unit: the name of the counted things, in the plural.
        description: what is being done.
        initial: the count at the start, which the rate excludes.
    """
    shown = _Bar if sys.stderr.isatty() else _Lines
    running = shown(total, f" {unit}", description, initial)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def counting(total: int, description: str, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that counts. Progress appears with its first call, so cached results show none."""
    with contextlib.ExitStack() as stack:
        bar = None

        def advance(count: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(progress(total, unit, description))
            bar.advance(count)

        yield advance


class _Bar:
    def __init__(self, total: int, unit: str, description: str, initial: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=total, unit=unit, desc=description, initial=initial, bar_format=_BAR_FORMAT, dynamic_ncols=True
        )
        self._is_counting = False

    def advance(self, count: int, **figures: float) -> None:
        if figures:
            self._bar.set_postfix(figures, refresh=False)
        if not self._is_counting:
            self._is_counting = True
            self._bar.n += count
            self._bar.initial = self._bar.last_print_n = self._bar.n
            self._bar.unpause()
            count = 0
        self._bar.update(count)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    def __init__(self, total: int, unit: str, description: str, initial: int) -> None:
        self._total, self._unit, self._description, self._initial = total, unit, description, initial
        self._done = initial
        self._figures: dict[str, float] = {}
        self._started = time.monotonic()
        self._counted_from: _Moment | None = None
        self._shown: _Moment = (self._started, initial)

    def advance(self, count: int, **figures: float) -> None:
        self._done += count
        self._figures = figures or self._figures
        now = time.monotonic()
        if self._counted_from is None:
            self._counted_from = self._shown = (now, self._done)
        elif now - self._shown[0] >= _SECONDS_BETWEEN_LINES:
            self._show(now, since=self._shown)

    def close(self) -> None:
        self._show(time.monotonic(), since=self._counted_from)

    def _show(self, now: float, since: _Moment | None) -> None:
        """Prints a line with the rate since the moment `since`, or the overall rate if nothing was done since then."""
        from tqdm import tqdm

        rate = (self._done - since[1]) / (now - since[0]) if since and self._done > since[1] else None
        self._shown = (now, self._done)
        line = tqdm.format_meter(
            self._done,
            self._total,
            now - self._started,
            prefix=self._description,
            unit=self._unit,
            initial=self._initial,
            rate=rate,
            postfix=", ".join(f"{name}={tqdm.format_num(figure)}" for name, figure in self._figures.items()),
            bar_format=_FORMAT,
        )
        print(line, file=sys.stderr, flush=True)

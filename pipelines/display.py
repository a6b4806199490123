"""Shows the stages of a run: on a terminal as a table that is updated, in a log as lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A stage as it is shown. `is_news` says whether a log gets a line for it."""

    name: str
    state: str
    time: str
    is_news: bool


@dataclass
class _Lines:
    """Prints a line for each row that is news, only once."""

    shown: set[tuple[str, str]] = field(default_factory=set)

    def show(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.is_news and (row.name, row.state) not in self.shown:
                self.shown.add((row.name, row.state))
                self.say(f"{row.name}: {row.state}" + (f", {row.time}" if row.time else ""))

    def say(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)


@dataclass
class _Table:
    """Shows all rows in a table that replaces the previous one, and sentences above the table."""

    live: Any

    def show(self, rows: Sequence[Row]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table("step", "state", "time", box=None)
        for row in rows:
            table.add_row(*map(Text, (row.name, row.state, row.time)))
        self.live.update(table, refresh=True)

    def say(self, sentence: str) -> None:
        from rich.text import Text

        self.live.console.print(Text(sentence))


@contextlib.contextmanager
def display() -> Iterator[_Lines | _Table]:
    """Yields a display: a table if standard error is a terminal, otherwise lines."""
    terminal = sys.__stderr__
    if terminal is None or not terminal.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.live import Live

    # Rich writes its own control characters, which the guard of standard error would escape.
    with Live(console=Console(file=terminal), auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield _Table(live)

import contextlib
import os
import re
import sys
import termios

import pytest

from components.cli import progress as module
from components.cli.progress import progress


def test_a_log_gets_one_plain_line_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(30, "images", "prepare") as running:
        for _ in range(30):
            running.advance(1)

    text = capfd.readouterr().err
    assert re.fullmatch(r"prepare: 30/30 images \[00:00<00:00, \S+ images/s\]\n", text), text


def test_a_log_gets_intermediate_lines_with_the_latest_figures(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100, 1000, 4))  # the clock advances by four seconds with each reading
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))

    with progress(1000, "steps", "train", initial=400) as running:
        running.advance(100, loss=0.69314)
        running.advance(100)
        running.advance(100)
        running.advance(100)

    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "train: 800/1000 steps [00:16<00:08, 25.00 steps/s, loss=0.693]"
    assert lines[1] == "train: 800/1000 steps [00:20<00:10, 18.75 steps/s, loss=0.693]"
    assert len(lines) == 2


def test_the_first_estimate_does_not_count_compiling(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0, 60, 71, 71])  # the first step takes a minute
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress(1000, "steps", "train") as running:
        running.advance(10)
        running.advance(110)
    for line in capfd.readouterr().err.splitlines():
        assert line == "train: 120/1000 steps [01:11<01:28, 10.00 steps/s]"


def test_a_bar_does_not_count_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = module._Bar(1000, " steps", "train", 0)
    now = [bar._bar.start_t]
    monkeypatch.setattr(bar._bar, "_time", lambda: now[0])
    for seconds, count in ((60, 10), (11, 110)):
        now[0] += seconds
        bar.advance(count)
    assert "120/1000 steps [00:11<01:28, 10.00 steps/s]" in str(bar._bar)
    bar.close()


def test_the_progress_is_shown_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ZeroDivisionError), progress(3, "images", "prepare") as running:
        running.advance(1)
        raise ZeroDivisionError

    assert capfd.readouterr().err.startswith("prepare: 1/3 images")


def test_a_terminal_gets_a_bar_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with open(terminal, "w", buffering=1) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with progress(4, "steps", "train") as running:
            running.advance(4, loss=0.5)
    shown = ""
    with contextlib.suppress(OSError):  # Linux raises this when the terminal is closed and all output has been read
        while some := os.read(parent, 10_000):
            shown += some.decode()
    os.close(parent)

    last = shown.rstrip().split("\r")[-1]
    assert shown.count("\n") == 1
    assert "100%" in last
    assert "4/4 steps" in last
    assert "loss=0.5" in last
    assert len(last) <= 80

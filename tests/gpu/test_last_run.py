"""docs/gpu.md shows each test of the last run on a GPU: its outcome, and what it measured or why it did not pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from device_training import assert_close, assert_no_growth
from last_run import HEADING, Outcome, write_last_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"


def report(test: str, outcome: Any, longrepr: Any = None, **properties: str) -> pytest.TestReport:
    return pytest.TestReport(
        *(f"tests/gpu/test_gpu.py::{test}", ("", 0, ""), {}, outcome, longrepr, "call"),
        duration=1.6,
        user_properties=properties.items(),
    )


def test_the_page_shows_the_last_run_in_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text(PAGE.read_text())
    outcomes = [
        Outcome.of(report("test_memory[GPU]", "passed", **{"images a second": "1,234", "peak memory": "5 MiB"})),
        Outcome.of(report("test_figures[GPU]", "failed", "E  one | other\nmore")),
        Outcome.of(report("test_two", "skipped", ("test_gpu.py", 1, "Skipped: needs two GPUs"))),
    ]
    for machine in ("An older GPU.", "GPU, driver, versions."):
        write_last_run(page, machine, outcomes)
    head, _, section = page.read_text().partition(HEADING)
    assert head == PAGE.read_text().partition(HEADING)[0]
    assert "An older GPU" not in section
    assert "1 passed, 1 failed, 1 skipped in 5 seconds. GPU, driver, versions.\n" in section
    assert section.splitlines()[-3:] == [
        "| `test_memory[GPU]` | passed | 2 | images a second: 1,234; peak memory: 5 MiB |",
        r"| `test_figures[GPU]` | failed | 2 | E  one \| other |",
        "| `test_two` | skipped | 2 | needs two GPUs |",
    ]


def test_comparisons_fail_when_they_should() -> None:
    row = {"losses/generator": 1.0, "logits/real": 0.0}
    assert_close([row], [{"losses/generator": 1.0009, "logits/real": 0.0009}], 1e-3)
    for other in ([{"losses/generator": 1.003, "logits/real": 0.0}], [], [row, row]):
        with pytest.raises(AssertionError):
            assert_close([row], other, 1e-3)
    infinite = {"losses/generator": float("inf")}
    with pytest.raises(AssertionError):
        assert_close([infinite], [infinite], 1e-3)

    assert_no_growth({"current": 10, "peak": 30}, {"current": 10, "peak": 40}, bound=40)
    for after in ({"current": 11, "peak": 40}, {"current": 10, "peak": 41}):
        with pytest.raises(AssertionError):
            assert_no_growth({"current": 10, "peak": 30}, after, bound=40)

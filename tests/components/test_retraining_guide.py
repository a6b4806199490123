"""The commands accept the command lines of docs/retraining.md."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "retraining.md").read_text()
LINES = [line for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()]
OURS = [line for line in LINES if line.startswith("python -m components.")]


@pytest.mark.parametrize("line", OURS)
def test_the_command_accepts_the_line(line: str) -> None:
    words = shlex.split(line)
    importlib.import_module(words[2]).parser().parse_args(words[3:])


def test_the_page_shows_each_command_of_the_loop() -> None:
    assert {line.split()[2] for line in OURS} == {
        f"components.{name}" for name in ("resolve", "fetch", "drift", "promote")
    }

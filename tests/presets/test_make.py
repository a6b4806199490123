"""The arguments that `make run` passes to DVC. A script replaces DVC and records them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with a `dvc` that records its arguments, and a `python` that skips the summary."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dvc").write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\n")
    (folder / "python").write_text(f'#!/bin/sh\n[ "$2" = components.summary ] || exec {sys.executable} "$@"\n')
    for command in folder.iterdir():
        command.chmod(0o755)
    return folder


def run(commands: Path, *variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    # --assume-old keeps make from rebuilding the environment. PATH on the command line overrides the Makefile's PATH.
    make = ["make", "--assume-old=.venv/run", "run", f"PATH={commands}:{os.environ['PATH']}", *variables]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
    written = commands.parent / "arguments"
    return done, written.read_text().splitlines() if written.exists() else []


def test_set_has_priority_over_the_preset(commands) -> None:
    done, arguments = run(commands, "PRESET=small-data", "SET=train.steps=20 train.augment=[color,cutout]")
    assert done.returncode == 0, done.stderr
    assert arguments[:2] == ["exp", "run"]
    assert set(arguments[2::2]) == {"-S"}
    preset = parameters.preset(ROOT / "presets" / "small-data.yaml")
    assert arguments[3::2] == [*preset, "train.steps=20", "train.augment=[color,cutout]"]


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ([], ["repro"]),
        (["SET=train.steps=20"], ["exp", "run", "-S", "train.steps=20"]),
    ],
)
def test_no_arguments_are_added_without_a_preset(commands, variables, arguments) -> None:
    done, recorded = run(commands, *variables)
    assert (done.returncode, recorded) == (0, arguments), done.stderr


def test_a_missing_preset_runs_nothing(commands) -> None:
    done, arguments = run(commands, "PRESET=nosuch")
    assert (done.returncode, arguments) == (2, [])
    assert "error: A preset must be a readable YAML file" in done.stderr


@pytest.mark.parametrize("source", ["data/raw/été", "o'brien", "a,b", "x(1)", "cats$b", "$(HOME)", "a#b"])
def test_an_override_may_have_any_character(commands, source: str) -> None:
    done, arguments = run(commands, f"SET=prepare.source={source} train.steps=20")
    assert done.returncode == 0, done.stderr
    assert arguments == ["exp", "run", "-S", f'prepare.source="{source}"', "-S", "train.steps=20"]

"""Writes the last section of docs/gpu.md: what the last run of the tests on a GPU found."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import pytest

HEADING = "## The last run\n"
_ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """How one test ended.

    Attributes:
        result: passed, failed, or skipped.
        note: what the test measured, or why it failed or was skipped.
    """

    test: str
    result: str
    seconds: float
    note: str

    @classmethod
    def of(cls, report: pytest.TestReport) -> Self:
        """Returns the outcome in pytest's report."""
        if isinstance(report.longrepr, tuple):
            note = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            note = str(crash.message if crash else report.longrepr).splitlines()[0]
        else:
            note = "; ".join(f"{name}: {value}" for name, value in report.user_properties)
        return cls(report.nodeid.rpartition("::")[2], report.outcome, report.duration, note.replace("|", "\\|"))


def described_machine() -> str:
    """Describes GPUs, driver, versions and revision in one paragraph."""
    import keras
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    devices = _answer("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    revision = os.environ.get("GIT_REVISION")  # in the image
    revision = revision or _answer("git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12")
    return (
        f"GPUs (name, memory, driver): {'; '.join(devices.splitlines())}. CUDA {build.get('cuda_version')}, cuDNN "
        f"{build.get('cudnn_version')}, TensorFlow {tf.__version__}, Keras {keras.__version__}, Python "
        f"{platform.python_version()}. Revision: {revision}."
    )


def write_last_run(page: Path, machine: str, outcomes: Sequence[Outcome]) -> None:
    """Replaces everything after HEADING in `page`."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    results = [outcome.result for outcome in outcomes]
    counts = ", ".join(f"{results.count(result)} {result}" for result in ("passed", "failed", "skipped"))
    rows = [f"| `{test}` | {result} | {duration:.0f} | {note} |" for test, result, duration, note in outcomes]
    lines = [
        f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC: {counts} in {seconds:.0f} seconds. {machine}",
        "",
        "| test | result | seconds | measured, or why |",
        "|---|---|---|---|",
        *rows,
    ]
    head, heading, _ = page.read_text(encoding="utf-8").partition(HEADING)
    page.write_text(f"{head}{heading}\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _answer(*command: str) -> str:
    """Returns the output of a command; `unknown` if it is not installed or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

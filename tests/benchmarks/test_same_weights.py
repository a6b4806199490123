import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_weights import first_difference

ROOT = Path(__file__).resolve().parents[2]


def side(**changes):
    return {"generator/0": np.array([1.0, np.nan], np.float32), "history.csv/100/loss": np.array(0.5), **changes}


def test_equal_bits_are_no_difference():
    assert not first_difference(side(), side())
    assert not first_difference(side(), side(**{"history.csv/100/new figure": np.array(1.0)}))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"generator/0": np.array([1.5, np.nan], np.float32)}, "1 of 2 arrays differ; generator/0: by up to 0.5, of"),
        ({"generator/0": np.array([1.0, np.nan])}, r"generator/0: float32 \(2,\) and float64 \(2,\)"),
        ({"history.csv/100/loss": np.array(-0.5)}, "history.csv/100/loss: by up to 1, of values up to 0.5"),
        ({"generator/1": np.array(0.0)}, "1 arrays are on one side only, such as generator/1"),
    ],
)
def test_a_difference_is_named_and_measured(changes, found):
    assert re.search(found, first_difference(side(), side(**changes)))


def test_the_sign_of_zero_is_a_difference():
    assert first_difference({"a": np.array(0.0)}, {"a": np.array(-0.0)})


def test_sigterm_ends_all_processes_and_removes_all_files(tmp_path):
    command = [sys.executable, "-m", "benchmarks.same_weights", "--old", "HEAD", "--only", "r1"]
    with (tmp_path / "output").open("w") as output:
        # Its processes are in a session of their own, so that those that remain can be counted.
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=output, start_new_session=True
        )
        while not list(tmp_path.glob("*/old/data")) and process.poll() is None:
            time.sleep(0.1)
        process.terminate()
        assert process.wait() == 143, (tmp_path / "output").read_text()
    while processes_of(process.pid):  # they end after the first one
        time.sleep(0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


def processes_of(session):
    """Returns the ids of the processes in a session, without zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            found += [path.parent.name] * (of == str(session) and state != "Z")
    return found

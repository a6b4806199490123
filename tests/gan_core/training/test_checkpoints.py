import logging
import random
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_core.errors import InvalidInput, TryAgain
from gan_core.training.checkpoints import Checkpoints


def state(number):
    return {"weights": np.full((3, 4), number, np.float32), "history": np.array(f'[{{"images_seen": {number}}}]')}


def write(folder, *numbers, kept=3):
    with Checkpoints(folder, kept) as checkpoints:
        for number in numbers:
            checkpoints.write(number, state(number))
        checkpoints.wait()


def newest(folder, at_most=10**9):
    with Checkpoints(folder, kept=3) as checkpoints:
        found = checkpoints.newest(at_most)
    return None if found is None else int(found["weights"][0, 0])


def test_the_newest_state_is_restored_bit_by_bit(tmp_path):
    write(tmp_path / "c", 10, 20)
    with Checkpoints(tmp_path / "c", kept=3) as checkpoints:
        found = checkpoints.newest(at_most=100)
    for name, array in state(20).items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert newest(tmp_path / "c") is None


@pytest.mark.parametrize("kept", range(1, 12))
def test_the_requested_number_of_newest_checkpoints_is_kept(tmp_path, kept):
    numbers = range(10, 100, 10)
    write(tmp_path, *numbers, kept=kept)
    assert [int(path.name[:15]) for path in sorted(tmp_path.glob("*.npz"))] == list(numbers[-kept:])


def test_a_shorter_training_neither_uses_nor_removes_later_checkpoints(tmp_path):
    write(tmp_path, 10, 20, 30)
    assert newest(tmp_path, at_most=25) == 20
    write(tmp_path, 5, 15, kept=1)
    assert newest(tmp_path, at_most=15) == 15
    assert newest(tmp_path) == 30


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_the_previous_checkpoint_is_used_if_the_newest_is_damaged_anywhere(tmp_path, caplog, data):
    folder = tmp_path / str(time.monotonic_ns())
    write(folder, 10, 20)
    damaged = max(folder.glob("*.npz"))
    content = bytearray(damaged.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    damaged.write_bytes(content)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert newest(folder) == 10
    assert damaged.name in caplog.text


_WRITE_FOREVER = """
import sys
from pathlib import Path

import numpy as np

from gan_core.training.checkpoints import Checkpoints

with Checkpoints(Path(sys.argv[1]), kept=2) as checkpoints:
    for number in range(int(sys.argv[2]) + 1, 10**9):
        checkpoints.write(number, {"number": np.array(number), "weights": np.arange(500_000.0)})
        checkpoints.wait()
        print(number, flush=True)
"""


def test_kills_while_writing_leave_the_last_finished_checkpoint(tmp_path):
    number = 0
    for _ in range(6):
        command = [sys.executable, "-c", _WRITE_FOREVER, str(tmp_path), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            written = process.stdout.readline()
            time.sleep(random.uniform(0, 0.03))
            process.kill()
            written = int((written + process.stdout.read()).split()[-1])
        with Checkpoints(tmp_path, kept=2) as checkpoints:
            number = int(checkpoints.newest(at_most=10**9)["number"])
        # The kill may happen between the rename and the line that reports it.
        assert written <= number <= written + 1
        assert not list(tmp_path.glob("*.partial"))


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    with Checkpoints(tmp_path, 3), pytest.raises(TryAgain, match="Another process"), Checkpoints(tmp_path, 3):
        pass


@pytest.mark.parametrize("use", [lambda one: one.newest(at_most=10), lambda one: one.write(10, state(10))])
def test_checkpoints_are_refused_outside_their_with_statement_and_may_be_entered_again(tmp_path, use):
    checkpoints = Checkpoints(str(tmp_path / "c"), 3)
    rule = re.escape(
        f"inside their `with` statement: `with Checkpoints(…) as checkpoints:`. Received: {tmp_path / 'c'}"
    )
    for _ in range(2):
        with pytest.raises(InvalidInput, match=rule):
            use(checkpoints)
        with checkpoints:
            use(checkpoints)
            checkpoints.wait()


def test_the_number_of_kept_checkpoints_is_at_least_1(tmp_path):
    with pytest.raises(InvalidInput, match=r"At least 1 checkpoint must be kept\. Received: kept=0"):
        Checkpoints(tmp_path, 0)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="must be writable"), Checkpoints(tmp_path / "file" / "c", 3):
        pass


def test_a_failed_write_raises_an_error(tmp_path):
    with Checkpoints(tmp_path / "c", 3) as checkpoints:
        (tmp_path / "c" / "lock").unlink()
        (tmp_path / "c").rmdir()
        checkpoints.write(10, state(10))
        with pytest.raises(FileNotFoundError):
            checkpoints.wait()

"""Files that appear whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_core.staging import whole_file

KILLED = """
import os, signal, sys
from pathlib import Path
from gan_core.staging import whole_file

with whole_file(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_replaces_the_earlier_one_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "file"
    for content in ("first", "second"):
        with whole_file(target) as unfinished:
            unfinished.write_text(content)
            assert not target.exists() or target.read_text() == "first"
        assert target.read_text() == content
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("earlier")
    with pytest.raises(ZeroDivisionError), whole_file(target) as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_process_leaves_the_earlier_file_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("earlier")
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert target.read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 2
    with whole_file(tmp_path / "another") as unfinished:
        unfinished.touch()
    assert {path.name for path in tmp_path.iterdir()} == {"file", "another"}


def test_two_processes_write_the_same_file_at_once(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with whole_file(target) as one, whole_file(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"

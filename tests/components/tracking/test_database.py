"""The embedded MLflow database is created completely or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Each process has the id 1, as in containers.
CODE = """
import os
os.getpid = lambda: 1
from components.tracking.server import connect
print(len(connect().search_experiments()))
"""


def _connect(folder: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.Popen(
        [sys.executable, "-c", CODE],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_kill_during_the_creation_leaves_no_broken_database(tmp_path: Path) -> None:
    process = _connect(tmp_path)
    while not any(path.stat().st_size > 0 for path in tmp_path.glob(".mlflow.db.*[0-9a-f]")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "mlflow.db").exists()

    processes = [_connect(tmp_path), _connect(tmp_path)]

    assert [process.communicate()[0] for process in processes] == ["1\n", "1\n"]
    assert (tmp_path / "mlflow.db").exists()


def test_only_old_leftovers_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    """The leftovers are an old unfinished database with its journal, and a second name of the finished one."""
    assert _connect(tmp_path).communicate()[0] == "1\n"
    old = [tmp_path / f".mlflow.db.{name}" for name in ("0a1b", "0a1b-journal")]
    young, others = tmp_path / ".mlflow.db.2c3d", [tmp_path / "mlflow.db.backup", tmp_path / ".mlflow.dbx"]
    for path in (*old, young, *others):
        path.write_bytes(b"x")
    for path in (*old, *others):
        os.utime(path, (0, 0))
    second = tmp_path / ".mlflow.db.4e5f"
    os.link(tmp_path / "mlflow.db", second)

    assert _connect(tmp_path).communicate()[0] == "1\n"

    assert {*tmp_path.iterdir()} - {tmp_path / "mlflow.db", tmp_path / "mlruns"} == {young, *others}

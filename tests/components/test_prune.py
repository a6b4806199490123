"""What pruning removes and what it keeps."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components import prune
from components.storage import bucket, transfer
from components.storage.bucket import Address
from components.storage.lease import WRITER
from components.storage.mirror import mirrored
from components.tracking.spool import Spool
from gan_core.errors import InvalidInput
from gan_core.training.checkpoints import Checkpoints

KEYS = {
    name: character * 16 for name, character in {"finished": "a", "killed": "b", "unsent": "c", "running": "d"}.items()
}
DATASET = {"name": "digits", "digest": "sha256-0", "profile": {}}
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def write_records(folder: Path, status: str, *, sent: bool = True) -> None:
    spool = Spool(folder, {"parameters": {}, "tags": {}, "dataset": DATASET})
    spool.set_status(status)
    if sent:
        spool.mark(run_id="0", status=status)
    spool.close()


def write_training(folder: Path, status: str, *, sent: bool = True) -> None:
    with Checkpoints(folder, kept=3) as checkpoints:
        for number in (10, 20):
            checkpoints.write(number, {"number": np.full(100, number)})
            checkpoints.wait()
    write_records(folder / "tracking-0", status, sent=sent)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_training(tmp_path / "checkpoints" / KEYS["finished"], "FINISHED")
    write_training(tmp_path / "checkpoints" / KEYS["killed"], "KILLED")
    write_training(tmp_path / "checkpoints" / KEYS["unsent"], "FINISHED", sent=False)
    write_training(tmp_path / "checkpoints" / KEYS["running"], "FINISHED")
    (tmp_path / "checkpoints" / "mine").mkdir()
    (tmp_path / "checkpoints" / "mine" / f"{10:015d}-{'0' * 16}.npz").touch()
    (tmp_path / "cache").mkdir()
    for name in (f"sha256-{'0' * 64}.npz", f"sha256-{'1' * 64}.npz", f"{'0' * 64}-weights.pth"):
        (tmp_path / "cache" / name).write_bytes(bytes(1000))
    os.utime(tmp_path / "cache" / f"sha256-{'0' * 64}.npz", (0, 0))
    os.utime(tmp_path / "cache" / f"{'0' * 64}-weights.pth", (0, 0))
    return tmp_path


def run_prune(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Path, *options: str
) -> str:
    given = ["prune", "--checkpoints", str(workspace / "checkpoints"), "--cache", str(workspace / "cache"), *options]
    monkeypatch.setattr(sys, "argv", given)
    prune.main()
    return capsys.readouterr().out


def remaining(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".npz" or path.name.startswith("tracking"))


def remaining_checkpoints(folder: Path) -> list[int]:
    return [int(name[:15]) for name in remaining(folder) if name.endswith(".npz")]


def test_only_finished_trainings_and_old_cached_features_are_removed(workspace: Path, monkeypatch, capsys) -> None:
    before = sorted(workspace.rglob("*"))
    with Checkpoints(workspace / "checkpoints" / KEYS["running"], kept=3):
        listed = run_prune(monkeypatch, capsys, workspace, "--dry-run")
        assert sorted(workspace.rglob("*")) == before
        removed = run_prune(monkeypatch, capsys, workspace)
    assert removed == listed.replace("would remove", "removed").replace("would be freed", "were freed")
    folders = {name: workspace / "checkpoints" / key for name, key in KEYS.items()}
    assert remaining(folders["finished"]) == []
    assert remaining_checkpoints(folders["killed"]) == [10, 20]
    assert remaining(folders["unsent"]) == ["tracking-0"]
    assert remaining_checkpoints(folders["running"]) == [10, 20]
    assert len(remaining(workspace / "checkpoints" / "mine")) == 1
    assert len(list((workspace / "cache").iterdir())) == 2
    sizes = [int(line.rpartition(", ")[2].split()[0].replace(",", "")) for line in listed.splitlines()[:-1]]
    assert listed.splitlines()[-1] == f"{sum(sizes):,} bytes would be freed"


def test_an_old_unfinished_training_keeps_its_newest_checkpoint(workspace: Path, monkeypatch, capsys) -> None:
    run_prune(monkeypatch, capsys, workspace, "--days", "0")
    assert remaining_checkpoints(workspace / "checkpoints" / KEYS["killed"]) == [20]
    assert (workspace / "checkpoints" / KEYS["killed"] / "tracking-0" / "training.json").exists()


def test_a_training_with_a_damaged_record_counts_as_unfinished(workspace: Path, monkeypatch, capsys) -> None:
    folder = workspace / "checkpoints" / KEYS["finished"]
    (folder / "tracking-0" / "training.json").write_text("{")
    run_prune(monkeypatch, capsys, workspace)
    assert remaining_checkpoints(folder) == [10, 20]


def test_checkpoints_of_finished_trainings_are_removed_from_a_bucket(
    proxy: StorageProxy, workspace: Path, monkeypatch, capsys
) -> None:
    address = Address(BUCKET, "prune/checkpoints")
    for name in ("finished", "killed"):
        with mirrored(address, KEYS[name], 3) as (_, checkpoints):
            checkpoints.write(10, {"number": np.full(100, 10)})
            checkpoints.wait()
        with bucket.opened(address) as opened:  # a killed process does not delete it
            opened.blob(f"{address.name}/{KEYS[name]}/{WRITER}").upload_from_string("0")
        transfer.upload(workspace / "checkpoints" / KEYS[name] / "tracking-0", address / KEYS[name] / "tracking-0")
    listed = run_prune(monkeypatch, capsys, workspace, "--checkpoints", str(address), "--dry-run")
    assert (
        run_prune(monkeypatch, capsys, workspace, "--checkpoints", str(address)).count("gs://")
        == listed.count("gs://")
        == 2
    )
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(bucket.opened(address))
        names = [blob.name for blob in opened.list_blobs(prefix=f"{address.name}/")]
    kept = [name for name in names if name.endswith((".npz", "writer"))]
    assert len(kept) == 2
    assert all(KEYS["killed"] in name for name in kept)


@pytest.mark.parametrize("days", ["nan", "inf", "-inf", "-1", "1e400", "", "a week"])
def test_an_age_must_be_a_number_of_days(days: str, workspace: Path, monkeypatch, capsys) -> None:
    with pytest.raises(InvalidInput, match=r"^--days must be a number from 0 to 36500\. Received: '[^']*'$"):
        run_prune(monkeypatch, capsys, workspace, f"--days={days}")


@pytest.mark.parametrize("option", ["--checkpoints", "--cache"])
def test_a_folder_named_by_an_option_must_exist(option: str, workspace: Path, monkeypatch, capsys) -> None:
    with pytest.raises(InvalidInput, match=r"The folder to prune must exist\. Received: [^\n]*mistyped'$"):
        run_prune(monkeypatch, capsys, workspace, option, str(workspace / "mistyped"))

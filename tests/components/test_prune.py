"""What pruning removes, and what it never does."""

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
from components.storage.mirror import mirrored
from components.tracking.spool import Spool
from gan_core.errors import InvalidInput
from gan_core.training.checkpoints import Checkpoints

KEYS = {
    name: character * 16 for name, character in {"finished": "a", "killed": "b", "unsent": "c", "running": "d"}.items()
}
DATASET = {"name": "digits", "digest": "sha256-0", "profile": {}}
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def records(folder: Path, status: str, *, sent: bool = True) -> None:
    spool = Spool(folder, {"parameters": {}, "tags": {}, "dataset": DATASET})
    spool.set_status(status)
    if sent:
        spool.mark(run_id="0", status=status)
    spool.close()


def training(folder: Path, status: str, *, sent: bool = True) -> None:
    with Checkpoints(folder, kept=3) as checkpoints:
        for number in (10, 20):
            checkpoints.write(number, {"number": np.full(100, number)})
            checkpoints.wait()
    records(folder / "tracking-0", status, sent=sent)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    training(tmp_path / "checkpoints" / KEYS["finished"], "FINISHED")
    training(tmp_path / "checkpoints" / KEYS["killed"], "KILLED")
    training(tmp_path / "checkpoints" / KEYS["unsent"], "FINISHED", sent=False)
    training(tmp_path / "checkpoints" / KEYS["running"], "FINISHED")
    (tmp_path / "checkpoints" / "mine").mkdir()
    (tmp_path / "checkpoints" / "mine" / f"{10:015d}-{'0' * 16}.npz").touch()
    (tmp_path / "cache").mkdir()
    for name in (f"sha256-{'0' * 64}.npz", f"sha256-{'1' * 64}.npz", f"{'0' * 64}-weights.pth"):
        (tmp_path / "cache" / name).write_bytes(bytes(1000))
    os.utime(tmp_path / "cache" / f"sha256-{'0' * 64}.npz", (0, 0))
    os.utime(tmp_path / "cache" / f"{'0' * 64}-weights.pth", (0, 0))
    return tmp_path


def pruned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path, *options: str) -> str:
    given = ["prune", "--checkpoints", str(place / "checkpoints"), "--cache", str(place / "cache"), *options]
    monkeypatch.setattr(sys, "argv", given)
    prune.main()
    return capsys.readouterr().out


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".npz" or path.name.startswith("tracking"))


def images(folder: Path) -> list[int]:
    return [int(name[:15]) for name in left(folder) if name.endswith(".npz")]


def test_what_goes_and_what_stays(place: Path, monkeypatch, capsys) -> None:
    before = sorted(place.rglob("*"))
    with Checkpoints(place / "checkpoints" / KEYS["running"], kept=3):
        listed = pruned(monkeypatch, capsys, place, "--dry-run")
        assert sorted(place.rglob("*")) == before
        removed = pruned(monkeypatch, capsys, place)
    assert removed == listed.replace("would remove", "removed").replace("would be freed", "were freed")
    folders = {name: place / "checkpoints" / key for name, key in KEYS.items()}
    assert left(folders["finished"]) == []
    assert images(folders["killed"]) == [10, 20]
    assert left(folders["unsent"]) == ["tracking-0"]
    assert images(folders["running"]) == [10, 20]
    assert len(left(place / "checkpoints" / "mine")) == 1
    assert len(list((place / "cache").iterdir())) == 2
    sizes = [int(line.rpartition(", ")[2].split()[0].replace(",", "")) for line in listed.splitlines()[:-1]]
    assert listed.splitlines()[-1] == f"{sum(sizes):,} bytes would be freed"


def test_an_old_unfinished_training_keeps_its_newest(place: Path, monkeypatch, capsys) -> None:
    pruned(monkeypatch, capsys, place, "--days", "0")
    assert images(place / "checkpoints" / KEYS["killed"]) == [20]
    assert (place / "checkpoints" / KEYS["killed"] / "tracking-0" / "training.json").exists()


def test_a_damaged_record_is_not_known_to_be_finished(place: Path, monkeypatch, capsys) -> None:
    folder = place / "checkpoints" / KEYS["finished"]
    (folder / "tracking-0" / "training.json").write_text("{")
    pruned(monkeypatch, capsys, place)
    assert images(folder) == [10, 20]


def test_mirrors_of_finished_trainings_go(proxy: StorageProxy, place: Path, monkeypatch, capsys) -> None:
    address = Address(BUCKET, "prune/checkpoints")
    for name in ("finished", "killed"):
        with mirrored(address, KEYS[name], 3) as mirror, Checkpoints(mirror.folder, 3, mirror.send) as checkpoints:
            mirror.restore(10**9, mirror.folder / "none")
            checkpoints.write(10, {"number": np.full(100, 10)})
            checkpoints.wait()
        transfer.upload(place / "checkpoints" / KEYS[name] / "tracking-0", address / KEYS[name] / "tracking-0")
    listed = pruned(monkeypatch, capsys, place, "--checkpoints", str(address), "--dry-run")
    assert (
        pruned(monkeypatch, capsys, place, "--checkpoints", str(address)).count("gs://") == listed.count("gs://") == 2
    )
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(bucket.opened(address))
        names = [blob.name for blob in opened.list_blobs(prefix=f"{address.name}/")]
    kept = [name for name in names if name.endswith((".npz", "writer"))]
    assert len(kept) == 2
    assert all(KEYS["killed"] in name for name in kept)


@pytest.mark.parametrize("days", ["nan", "inf", "-inf", "-1", "1e400", "", "a week"])
def test_an_age_must_be_a_number_of_days(days: str, place: Path, monkeypatch, capsys) -> None:
    with pytest.raises(InvalidInput, match=r"^--days must be a number from 0 to 36500\. Received: '[^']*'$"):
        pruned(monkeypatch, capsys, place, f"--days={days}")


@pytest.mark.parametrize("option", ["--checkpoints", "--cache"])
def test_a_place_that_is_named_must_exist(option: str, place: Path, monkeypatch, capsys) -> None:
    with pytest.raises(InvalidInput, match=r"The folder to prune must exist\. Received: [^\n]*mistyped'$"):
        pruned(monkeypatch, capsys, place, option, str(place / "mistyped"))

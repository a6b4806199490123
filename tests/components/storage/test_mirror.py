"""Checkpoints copied to a bucket through a proxy that fails, by processes that are killed, and by two at once."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import write_dataset
from recipes import small_parameters
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components.storage import bucket, transfer
from components.storage.bucket import Address
from components.storage.mirror import WRITER, Mirror, mirrored
from components.tracking.spool import Spool
from gan_core.errors import InvalidInput, TryAgain
from gan_core.export import load_generator
from gan_core.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Address:
    return Address(BUCKET, f"checkpoints/{request.node.name}")


def write(place: Address, *numbers: int, kept: int = 3, wait: bool = True) -> None:
    """One start of a training that writes checkpoints of these numbers of images."""
    with mirrored(place, "key", kept) as mirror, Checkpoints(mirror.folder, kept, mirror.send) as checkpoints:
        mirror.restore(10**9, mirror.folder / "none")
        for number in numbers:
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            if wait:
                mirror._sending.result()


def newest(place: Address, at_most: int = 10**9) -> int | None:
    """Images seen of the state that a start on another machine finds."""
    with mirrored(place, "key", 3) as mirror, Checkpoints(mirror.folder, 3, mirror.send) as checkpoints:
        mirror.restore(at_most, mirror.folder / "none")
        state = checkpoints.newest(at_most)
    return None if state is None else int(state["number"][0])


def names(place: Address) -> list[str]:
    with bucket.opened(place) as opened:
        return sorted(
            blob.name.removeprefix(f"{place.name}/key/") for blob in opened.list_blobs(prefix=f"{place.name}/key/")
        )


def numbers(place: Address) -> list[int]:
    return [int(name[:15]) for name in names(place) if name.endswith(".npz")]


def test_the_newest_come_back_and_older_ones_go(proxy: StorageProxy, place: Address) -> None:
    assert newest(place) is None
    write(place, 10, 20, 30, 40, kept=2)
    assert newest(place) == 40
    assert numbers(place) == [30, 40]
    assert newest(place, at_most=35) == 30
    write(place, 35, kept=1)  # a training with fewer steps leaves what a longer one reached
    assert numbers(place) == [35, 40]


@pytest.mark.parametrize("kept", [1, 4, 8])
def test_as_many_are_kept_as_asked(proxy: StorageProxy, place: Address, kept: int) -> None:
    write(place, *range(10, 100, 10), kept=kept)
    assert numbers(place) == list(range(10, 100, 10))[-kept:]


def test_one_request_in_five_fails_and_nothing_is_lost(proxy: StorageProxy, place: Address) -> None:
    proxy.rate = 0.2
    for number in range(1, 6):
        write(place, 10 * number, 10 * number + 5)
        assert newest(place) == 10 * number + 5
    assert numbers(place) == [45, 50, 55]
    assert sum(proxy.faults.values()) >= 5


def test_a_lost_answer_is_not_another_process(proxy: StorageProxy, place: Address) -> None:
    faults = iter(["cut after"])
    proxy.before = lambda method, name, body: next(faults, None) if method == "POST" and name.endswith(WRITER) else None
    write(place, 10, 20)
    assert proxy.faults["cut after"] == 1
    assert newest(place) == 20


def test_uploads_that_lag_behind_give_way_to_the_newest(proxy: StorageProxy, place: Address) -> None:
    begun, release = threading.Event(), threading.Event()

    def hold(method: str, name: str, body: bytes) -> None:
        if method == "POST" and name.endswith(".npz"):
            begun.set()
            release.wait()

    proxy.before = hold
    with mirrored(place, "key", 3) as mirror, Checkpoints(mirror.folder, 1, mirror.send) as checkpoints:
        for number in (10, 20, 30, 40):
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            assert begun.wait(30)
        release.set()
    assert numbers(place) == [10, 40]
    assert newest(place) == 40


def test_an_outage_does_not_stop_the_training(
    proxy: StorageProxy, place: Address, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bucket, "TRANSFER_WITHIN_SECONDS", 0.2)
    with mirrored(place, "key", 3) as mirror, Checkpoints(mirror.folder, 3, mirror.send) as checkpoints:
        for number, rate in ((10, 0.0), (20, 1.0), (30, 0.0)):
            proxy.before = lambda *_, rate=rate: "503" if rate else None
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            with caplog.at_level(logging.WARNING):
                mirror._sending.result()
    assert "000000000000020-" in caplog.text
    assert "is not in the bucket; the training continues: The bucket does not answer" in caplog.text
    assert numbers(place) == [10, 30]


def test_of_two_processes_the_second_to_write_stops(proxy: StorageProxy, place: Address) -> None:
    write(place, 10)
    with (
        pytest.raises(TryAgain, match="Another process trains with these checkpoints"),
        mirrored(place, "key", 3) as mirror,
        Checkpoints(mirror.folder, 3, mirror.send) as checkpoints,
    ):
        mirror.restore(10**9, mirror.folder / "none")
        write(place, 20)
        checkpoints.write(15, {"number": np.full(1000, 15)})
        checkpoints.wait()
        mirror._sending.result()
        checkpoints.write(16, {"number": np.full(1000, 16)})
        checkpoints.wait()
        raise AssertionError("the second write must have failed")
    assert newest(place) == 20


def test_a_checkpoint_that_is_deleted_meanwhile_is_passed_over(
    proxy: StorageProxy, place: Address, caplog: pytest.LogCaptureFixture
) -> None:
    write(place, 10, 20)
    last = f"{place.name}/key/{names(place)[1]}"

    def delete(method: str, name: str, body: bytes) -> None:
        if method == "GET" and name.endswith(last):
            proxy.before = lambda *_: None
            with bucket.opened(place) as opened:
                opened.blob(last).delete()

    proxy.before = delete
    with caplog.at_level(logging.WARNING):
        assert newest(place) == 10
    assert "was deleted; the one before it is used" in caplog.text


def test_other_objects_and_hostile_names_are_ignored(place: Address, tmp_path: Path) -> None:
    own, hostile = f"{10:015d}-{0:016x}.npz", f"{20:015d}-{0:016x}.npz"
    listed = [own, f"../{hostile}", f"/{hostile}", f"x/{hostile}", f"{hostile}\n", f"{20:015d}.npz", "notes.txt"]
    blobs = [SimpleNamespace(name=f"{place.name}/{name}", size=1) for name in listed]
    found = Mirror(place, tmp_path, 3)._checkpoints(SimpleNamespace(list_blobs=lambda **_: blobs))
    assert [name for _, name, _ in found] == [own]


def test_what_earlier_versions_mirrored_comes_back(proxy: StorageProxy, place: Address, tmp_path: Path) -> None:
    """Their `newest.json` listed the checkpoints, and their records were in a folder of their own."""
    write(place, 10, 20)
    with bucket.opened(place) as opened:
        opened.blob(f"{place.name}/key/{WRITER}").delete()
        opened.blob(f"{place.name}/key/newest.json").upload_from_string(
            '{"format": 1, "writer": "0", "checkpoints": []}'
        )
        earlier = f".whole/{'0' * 32}"
        opened.blob(f"{place.name}/key/records/{earlier}/training.json").upload_from_string("an earlier start's")
        listing = json.dumps({"format": 1, "folder": earlier, "files": []})
        opened.blob(f"{place.name}/key/records/.whole.json").upload_from_string(listing)
    records = tmp_path / "records"
    mirror = Mirror(place / "key", tmp_path, 3)
    mirror.restore(10**9, records)
    assert [path.name[:15] for path in tmp_path.glob("*.npz")] == [f"{20:015d}"]
    assert (records / "training.json").read_text() == "an earlier start's"
    with mirror.keeping(records):
        (records / "history.jsonl").write_text("rows")
    mirror.finish()
    found = [name for name in names(place) if name.startswith("records/")]
    assert found == ["records/history.jsonl", "records/training.json"]


def test_records_are_kept_from_start_to_start(proxy: StorageProxy, place: Address, tmp_path: Path) -> None:
    for start in range(3):
        records = tmp_path / str(start) / "tracking"
        records.parent.mkdir()
        mirror = Mirror(place, records.parent, 3)
        mirror.restore(10**9, records)
        if start == 0:
            records.mkdir()
            (records / "training.json").write_text("the first start's")
        assert (records / "training.json").read_text() == "the first start's"
        with mirror.keeping(records):
            (records / f"{start}.jsonl").write_text("rows")
        mirror.finish()
    assert sorted(path.name for path in records.iterdir()) == ["0.jsonl", "1.jsonl", "2.jsonl", "training.json"]


def test_what_mlflow_did_not_take_is_sent_from_the_bucket(proxy: StorageProxy, place: Address, project: Path) -> None:
    dataset = {"name": "digits", "digest": "sha256-0", "profile": {}}
    spool = Spool(project / "records", {"parameters": {}, "tags": {}, "dataset": dataset})
    spool.history.append({"step": 64, "timestamp": 1, "figures": {"generator_loss": 2.5}})
    spool.set_status("KILLED")
    spool.close()
    transfer.upload(project / "records", place)
    for _ in range(2):
        command = [sys.executable, "-m", "components.tracking", "send", str(place)]
        said = subprocess.check_output(command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True)
        assert said.startswith("All records are in the MLflow run ")
    with sqlite3.connect(project / "mlflow.db") as database:
        assert database.execute("select step, value from metrics").fetchall() == [(64, 2.5)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sklearn.datasets import load_digits

    images = np.kron(load_digits().images[:110], np.ones((1, 2, 2)))[..., None] * 15.9
    return write_dataset(
        tmp_path_factory.mktemp("data") / "digits", images[:100].astype(np.uint8), images[100:].astype(np.uint8)
    )


def train(folder: Path, dataset: object, parameters: dict[str, object], to: object) -> subprocess.Popen[str]:
    """A training whose checkpoints and outputs go to `to`."""
    command = [sys.executable, "-m", "components.train", "--config", json.dumps(parameters), "--dataset", str(dataset)]
    for name, path in {"checkpoints": "c", "model": "model", "history": "history.csv", "samples": "s.png"}.items():
        command += [f"--{name}", f"{to}/{path}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_training_killed_during_an_upload_ends_as_one_that_was_not(
    proxy: StorageProxy, place: Address, digits: Path, project: Path
) -> None:
    parameters = small_parameters(steps=400, log_every_images=800, samples_every_images=4000)
    often = {**parameters, "checkpoint_every_seconds": 0.05}
    alone = project / "alone"
    alone.mkdir()
    undisturbed = train(alone, digits, parameters, alone)
    assert undisturbed.wait() == 0, undisturbed.communicate()

    transfer.upload(digits, place / "digits")
    proxy.rate = 0.2
    uploading, release = threading.Event(), threading.Event()

    def hold_the_fourth(method: str, name: str, body: bytes) -> None:
        sent = {name for method, name in proxy.requests if method == "POST" and name.endswith(".npz")}
        if method == "POST" and name.endswith(".npz") and len(sent) >= 3:
            uploading.set()
            release.wait()

    proxy.before = hold_the_fourth
    process = train(project, place / "digits", often, place)
    assert uploading.wait(120), process.communicate()
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    proxy.before = lambda *_: None
    release.set()
    with pytest.raises(InvalidInput, match="must hold a file or a folder"):
        transfer.download(place / "model", project / "half")

    process = train(project, place / "digits", often, place)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "The training resumes after " in errors
    transfer.download(place / "model", project / "model")
    ours, theirs = load_generator(project / "model"), load_generator(alone / "model")
    for one, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with sqlite3.connect(project / "mlflow.db") as database:
        runs = database.execute("select status from runs").fetchall()
        doubled = database.execute("select key, step from metrics where key not like 'system/%' group by key, step "
                                   "having count(*) > 1").fetchall()  # fmt: skip
    assert runs == [("FINISHED",)]
    assert doubled == []


def test_of_two_trainings_with_one_prefix_one_stops(
    proxy: StorageProxy, place: Address, digits: Path, project: Path
) -> None:
    parameters = small_parameters(steps=10**6, checkpoint_every_seconds=0.2)
    both = [train(project, digits, parameters, place) for _ in range(2)]
    while all(process.poll() is None for process in both):
        time.sleep(0.1)
    running, stopped = sorted(both, key=lambda process: process.poll() is not None)
    running.send_signal(signal.SIGTERM)
    said, told = stopped.communicate()[1], running.communicate()[1]
    assert (stopped.returncode, running.returncode) == (75, 75), said + told
    # Another process wrote either the checkpoints, or the tracking folder at the start.
    assert re.search("error: Another process (trains with these checkpoints|wrote the same object)", said)
    assert "The training was told to stop (SIGTERM)" in told

"""Checkpoints copied to a bucket: through a faulty proxy, by killed processes, and by two processes at once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import write_dataset
from recipes import small_parameters
from storage_emulator import BUCKET
from storage_proxy import StorageProxy
from train_commands import wait_for

from components.storage import bucket, lease, transfer
from components.storage import mirror as mirror_module
from components.storage.bucket import Address
from components.storage.lease import WRITER
from components.storage.mirror import Mirror, mirrored
from components.tracking.spool import Spool
from gan_core.errors import InvalidInput, TryAgain
from gan_core.export import load_generator
from gan_core.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Address:
    return Address(BUCKET, f"checkpoints/{request.node.name}")


def write(address: Address, *numbers: int, kept: int = 3, wait: bool = True) -> None:
    """Starts a training that writes a checkpoint after each of these numbers of images."""
    with mirrored(address, "key", kept) as (mirror, checkpoints):
        mirror.restore(10**9, mirror.folder / "none")
        for number in numbers:
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            if wait:
                mirror._sending.result()


def newest(address: Address, at_most: int = 10**9) -> int | None:
    """Returns the images seen of the state that a start on another machine restores."""
    with mirrored(address, "key", 3) as (mirror, checkpoints):
        mirror.restore(at_most, mirror.folder / "none")
        state = checkpoints.newest(at_most)
    return None if state is None else int(state["number"][0])


def names(address: Address) -> list[str]:
    prefix = f"{address.name}/key/"
    with bucket.opened(address) as opened:
        return sorted(blob.name.removeprefix(prefix) for blob in opened.list_blobs(prefix=prefix))


def numbers(address: Address) -> list[int]:
    return [int(name[:15]) for name in names(address) if name.endswith(".npz")]


def test_the_newest_checkpoints_are_restored_and_older_ones_are_deleted(proxy: StorageProxy, address: Address) -> None:
    assert newest(address) is None
    write(address, 10, 20, 30, 40, kept=2)
    assert newest(address) == 40
    assert numbers(address) == [30, 40]
    assert newest(address, at_most=35) == 30
    write(address, 35, kept=1)  # a shorter training keeps the later checkpoints of a longer one
    assert numbers(address) == [35, 40]


@pytest.mark.parametrize("kept", [1, 4, 8])
def test_the_requested_number_of_checkpoints_is_kept(proxy: StorageProxy, address: Address, kept: int) -> None:
    write(address, *range(10, 100, 10), kept=kept)
    assert numbers(address) == list(range(10, 100, 10))[-kept:]


def test_nothing_is_lost_while_one_request_in_five_fails(proxy: StorageProxy, address: Address) -> None:
    proxy.rate = 0.2
    for number in range(1, 6):
        write(address, 10 * number, 10 * number + 5)
        assert newest(address) == 10 * number + 5
    assert numbers(address) == [45, 50, 55]
    assert sum(proxy.faults.values()) >= 5


def test_a_lost_answer_is_not_mistaken_for_another_process(proxy: StorageProxy, address: Address) -> None:
    faults = iter(["cut after"])
    proxy.before = lambda method, name, body: next(faults, None) if method == "POST" and name.endswith(WRITER) else None
    write(address, 10, 20)
    assert proxy.faults["cut after"] == 1
    assert newest(address) == 20


def hold_uploads(proxy: StorageProxy) -> tuple[threading.Event, threading.Event]:
    """Holds the uploads of checkpoints; returns what the first one sets, and what lets all go on."""
    begun, release = threading.Event(), threading.Event()

    def hold(method: str, name: str, body: bytes) -> None:
        if method == "POST" and name.endswith(".npz"):
            begun.set()
            release.wait()

    proxy.before = hold
    return begun, release


def test_a_slow_upload_skips_to_the_newest_checkpoint(proxy: StorageProxy, address: Address) -> None:
    begun, release = hold_uploads(proxy)
    with mirrored(address, "key", 3) as (mirror, _), Checkpoints(mirror.folder / "1", 1, mirror.send) as checkpoints:
        for number in (10, 20, 30, 40):
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            assert begun.wait(30)
        release.set()
    assert numbers(address) == [10, 40]
    assert newest(address) == 40


def test_an_outage_does_not_stop_the_training(
    proxy: StorageProxy, address: Address, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bucket, "TRANSFER_WITHIN_SECONDS", 0.2)
    with mirrored(address, "key", 3) as (mirror, checkpoints):
        for number, rate in ((10, 0.0), (20, 1.0), (30, 0.0)):
            proxy.before = lambda *_, rate=rate: "503" if rate else None
            checkpoints.write(number, {"number": np.full(1000, number)})
            checkpoints.wait()
            with caplog.at_level(logging.WARNING):
                mirror._sending.result()
    assert "000000000000020-" in caplog.text
    assert "is not in the bucket; the training continues: The bucket does not answer" in caplog.text
    assert numbers(address) == [10, 30]


def test_a_process_that_lost_its_lease_stops_and_leaves_the_other_ones_copies(
    proxy: StorageProxy, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, 10)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 3600.0)  # it stalls
    monkeypatch.setattr(lease, "LOST_SECONDS", 0.1)
    monkeypatch.setattr(mirror_module, "POLL_SECONDS", 0.01)
    with (
        pytest.raises(TryAgain, match="Another process trains with these checkpoints; its newest one counts"),
        mirrored(address, "key", 3) as (mirror, checkpoints),
    ):
        mirror.restore(10**9, mirror.folder / "none")
        write(address, 20)
        with bucket.opened(address) as opened:
            opened.blob(f"{address.name}/key/records/training.json").upload_from_string("the other one's")
        records = mirror.folder / "records"
        records.mkdir()
        checkpoints.write(15, {"number": np.full(1000, 15)})
        checkpoints.wait()
        mirror._sending.result()
        with contextlib.suppress(TryAgain), mirror.keeping(records):
            (records / "training.json").write_text("the stalled one's")
            checkpoints.write(16, {"number": np.full(1000, 16)})
            checkpoints.wait()
            raise AssertionError("the second write must have failed")
    assert newest(address) == 20
    with bucket.opened(address) as opened:
        assert opened.blob(f"{address.name}/key/records/training.json").download_as_text() == "the other one's"


def test_the_previous_checkpoint_is_restored_if_the_newest_is_deleted_meanwhile(
    proxy: StorageProxy, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    write(address, 10, 20)
    last = f"{address.name}/key/{names(address)[1]}"

    def delete(method: str, name: str, body: bytes) -> None:
        if method == "GET" and name.endswith(last):
            proxy.before = lambda *_: None
            with bucket.opened(address) as opened:
                opened.blob(last).delete()

    proxy.before = delete
    with caplog.at_level(logging.WARNING):
        assert newest(address) == 10
    assert "was deleted; the one before it is used" in caplog.text


def test_other_objects_and_hostile_names_are_ignored(address: Address, tmp_path: Path) -> None:
    own, hostile = f"{10:015d}-{0:016x}.npz", f"{20:015d}-{0:016x}.npz"
    listed = [own, f"../{hostile}", f"/{hostile}", f"x/{hostile}", f"{hostile}\n", f"{20:015d}.npz", "notes.txt"]
    blobs = [SimpleNamespace(name=f"{address.name}/{name}", size=1) for name in listed]
    found = Mirror(address, tmp_path, 3)._checkpoints(SimpleNamespace(list_blobs=lambda **_: blobs))
    assert [name for _, name, _ in found] == [own]


def test_copies_of_earlier_versions_are_restored(proxy: StorageProxy, address: Address, tmp_path: Path) -> None:
    """Earlier versions listed the checkpoints in `newest.json` and kept the records in a separate folder."""
    write(address, 10, 20)
    with bucket.opened(address) as opened:
        opened.blob(f"{address.name}/key/newest.json").upload_from_string(
            '{"format": 1, "writer": "0", "checkpoints": []}'
        )
        earlier = f".whole/{'0' * 32}"
        opened.blob(f"{address.name}/key/records/{earlier}/training.json").upload_from_string("an earlier start's")
        listing = json.dumps({"format": 1, "folder": earlier, "files": []})
        opened.blob(f"{address.name}/key/records/.whole.json").upload_from_string(listing)
    records = tmp_path / "records"
    mirror = Mirror(address / "key", tmp_path, 3)
    mirror.lease.claim()
    mirror.restore(10**9, records)
    assert [path.name[:15] for path in tmp_path.glob("*.npz")] == [f"{20:015d}"]
    assert (records / "training.json").read_text() == "an earlier start's"
    with mirror.keeping(records):
        (records / "history.jsonl").write_text("rows")
    mirror.finish()
    found = [name for name in names(address) if name.startswith("records/")]
    assert found == ["records/history.jsonl", "records/training.json"]


def test_records_are_kept_from_one_start_to_the_next(proxy: StorageProxy, address: Address, tmp_path: Path) -> None:
    for start in range(3):
        records = tmp_path / str(start) / "tracking"
        records.parent.mkdir()
        mirror = Mirror(address, records.parent, 3)
        mirror.lease.claim()
        mirror.restore(10**9, records)
        if start == 0:
            records.mkdir()
            (records / "training.json").write_text("the first start's")
        assert (records / "training.json").read_text() == "the first start's"
        with mirror.keeping(records):
            (records / f"{start}.jsonl").write_text("rows")
        mirror.finish()
    assert sorted(path.name for path in records.iterdir()) == ["0.jsonl", "1.jsonl", "2.jsonl", "training.json"]


def test_unsent_records_are_sent_from_the_bucket(proxy: StorageProxy, address: Address, project: Path) -> None:
    dataset = {"name": "digits", "digest": "sha256-0", "profile": {}}
    spool = Spool(project / "records", {"parameters": {}, "tags": {}, "dataset": dataset})
    spool.history.append({"step": 64, "timestamp": 1, "figures": {"generator_loss": 2.5}})
    spool.set_status("KILLED")
    spool.close()
    transfer.upload(project / "records", address)
    for _ in range(2):
        command = [sys.executable, "-m", "components.tracking", "send", str(address)]
        stopped_errors = subprocess.check_output(
            command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True
        )
        assert stopped_errors.startswith("All records are in the MLflow run ")
    with sqlite3.connect(project / "mlflow.db") as database:
        assert database.execute("select step, value from metrics").fetchall() == [(64, 2.5)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sklearn.datasets import load_digits

    images = np.kron(load_digits().images[:110], np.ones((1, 2, 2)))[..., None] * 15.9
    return write_dataset(
        tmp_path_factory.mktemp("data") / "digits", images[:100].astype(np.uint8), images[100:].astype(np.uint8)
    )


def train(
    folder: Path, dataset: object, parameters: dict[str, object], to: object, outputs: object = None, lost: float = 60.0
) -> subprocess.Popen[str]:
    """Starts a training that writes its checkpoints and outputs to `to`, or the outputs to `outputs`.

    It takes over from another process that shows no sign of life for `lost` seconds.
    """
    code = (
        f"from components.storage import lease, mirror; lease.LOST_SECONDS = {lost}; mirror.POLL_SECONDS = 0.2\n"
        "from components.train import main; from gan_core.exit_codes import run; run(main)"
    )
    command = [sys.executable, "-c", code, "--config", json.dumps(parameters), "--dataset", str(dataset)]
    command += ["--checkpoints", f"{to}/c"]
    for name, path in {"model": "model", "history": "history.csv", "samples": "s.png"}.items():
        command += [f"--{name}", f"{outputs or to}/{path}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_training_killed_during_an_upload_gives_the_same_weights(
    proxy: StorageProxy, address: Address, digits: Path, project: Path
) -> None:
    parameters = small_parameters(steps=400, log_every_images=800, samples_every_images=4000)
    often = {**parameters, "checkpoint_every_seconds": 0.05}
    alone = project / "alone"
    alone.mkdir()
    undisturbed = train(alone, digits, parameters, alone)
    assert undisturbed.wait() == 0, undisturbed.communicate()

    transfer.upload(digits, address / "digits")
    proxy.rate = 0.2
    uploading, release = threading.Event(), threading.Event()

    def hold_the_fourth(method: str, name: str, body: bytes) -> None:
        sent = {name for method, name in proxy.requests if method == "POST" and name.endswith(".npz")}
        if method == "POST" and name.endswith(".npz") and len(sent) >= 3:
            uploading.set()
            release.wait()

    proxy.before = hold_the_fourth
    process = train(project, address / "digits", often, address)
    assert uploading.wait(120), process.communicate()
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    proxy.before = lambda *_: None
    release.set()
    with pytest.raises(InvalidInput, match="must hold a file or a folder"):
        transfer.download(address / "model", project / "half")

    process = train(project, address / "digits", often, address, lost=1.0)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "this one waits until it ends. Received: gs://" in errors
    assert "gave no sign of life for 1 s; this one takes over." in errors
    assert "The training resumes after " in errors
    transfer.download(address / "model", project / "model")
    ours, theirs = load_generator(project / "model"), load_generator(alone / "model")
    for one, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with sqlite3.connect(project / "mlflow.db") as database:
        runs = database.execute("select status from runs").fetchall()
        doubled = database.execute("select key, step from metrics where key not like 'system/%' group by key, step "
                                   "having count(*) > 1").fetchall()  # fmt: skip
    assert runs == [("FINISHED",)]
    assert doubled == []


def test_of_two_equal_trainings_one_waits_and_then_has_the_same_outputs_and_run(
    proxy: StorageProxy, address: Address, digits: Path, project: Path
) -> None:
    parameters = small_parameters(checkpoint_every_seconds=0.05)
    uploading, release = hold_uploads(proxy)
    first = train(project, digits, parameters, address)
    assert uploading.wait(300), first.communicate()
    second = train(project, digits, parameters, address, project / "second")
    (project / "second").mkdir()
    said = wait_for(second, "WARNING: Another process trains with these checkpoints; this one waits until it ends.")
    assert f"Received: {address}/c/" in said
    release.set()
    for process in (first, second):
        errors = process.communicate()[1]
        assert process.returncode == 0, errors
    assert "takes over" not in errors
    assert "The training resumes after 240 of 240 images" in errors
    transfer.download(address / "model", project / "model")
    ours, theirs = load_generator(project / "second/model"), load_generator(project / "model")
    for one, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with sqlite3.connect(project / "mlflow.db") as database:
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    with bucket.opened(address) as opened:
        assert not [blob.name for blob in opened.list_blobs(prefix=address.name) if blob.name.endswith(WRITER)]


def test_a_signal_ends_the_waiting(proxy: StorageProxy, address: Address, digits: Path, project: Path) -> None:
    parameters = small_parameters(steps=10**6)
    running = train(project, digits, parameters, address)
    wait_for(running, "The training starts from the beginning")
    running.send_signal(signal.SIGSTOP)  # the others would be slow beside it
    for number, code, sentence in (
        (signal.SIGTERM, 75, "error: The training was told to stop (SIGTERM) while it waited for another process.\n"),
        (signal.SIGINT, 130, "error: Interrupted.\n"),
    ):
        waiting = train(project, digits, parameters, address, lost=3600.0)
        wait_for(waiting, "this one waits until it ends")
        waiting.send_signal(number)
        assert waiting.communicate()[1].endswith(sentence)
        assert waiting.returncode == code
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGCONT)
    errors = running.communicate()[1]
    assert (running.returncode, "The training was told to stop (SIGTERM) after" in errors) == (75, True), errors
    following = train(project, digits, small_parameters(steps=1), address)
    errors = following.communicate()[1]
    assert following.returncode == 0, errors
    assert "Another process" not in errors

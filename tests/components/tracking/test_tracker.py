"""A training's MLflow run: what it records, and how it resumes and ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs
from trackers import ROOT, history, only_run, pictures, send, tracker

from components.tracking.address import tracking_uri
from components.tracking.failures import explain
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.data.manifest import Manifest

pytestmark = pytest.mark.usefixtures("quick")


def test_a_run_records_parameters_data_history_and_samples(manifest: Manifest) -> None:
    with tracker(manifest) as track:
        track.log_row(64, {"losses/generator": 2.5, "system/examples_per_second": 100.0})
        track.log_row(128, {"losses/generator": float("nan"), "system/examples_per_second": 101.0})
        track.log_row(
            128, {"losses/generator": 9.0, "system/examples_per_second": 9.0, "scores/quick_fd_random": 7.0}
        )  # the same row again, with a score
        track.log_image(128, "samples", blobs(1, channels=3)[0])
        assert track.run_id is not None
        assert track.rows()[0] == {"images_seen": 64, "losses/generator": 2.5, "system/examples_per_second": 100.0}
    run = only_run()
    assert run.info.run_id == track.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.learning_rate": "0.0002", "prepare.source": "synthetic"}
    assert run.data.tags["device"] == "cpu"
    assert run.data.tags["data_digest"] == manifest.digest
    [dataset_input] = run.inputs.dataset_inputs
    assert manifest.digest.startswith(dataset_input.dataset.digest)
    assert {tag.key: tag.value for tag in dataset_input.tags}["digest"] == manifest.digest
    assert history("system/examples_per_second") == [(64, 100.0), (128, 101.0)]
    assert history("scores/quick_fd_random") == [(128, 7.0)]
    assert [step for step, _ in history("losses/generator")] == [64, 128]
    assert np.isnan(history("losses/generator")[1][1])
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0
    assert pictures() == ["samples+step+128.png", "samples+step+128.webp"]
    assert run.data.tags["mlflow.loggedImages"] == "True"


def test_no_secret_of_an_address_is_tracked(manifest: Manifest) -> None:
    with tracker(manifest, weights="https://me:hunter2@host/w.pth?token=hunter2"):
        pass
    assert only_run().data.params["train.weights"] == "https://host/w.pth?…"
    written = [path for path in (*Path("tracking").rglob("*"), Path("mlflow.db")) if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]


def test_a_resumed_training_continues_its_run_and_logs_no_row_twice(manifest: Manifest) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_until(KeyboardInterrupt(), manifest, {64: 1.0, 128: 2.0})
    assert only_run().info.status == "KILLED"
    with (Path("tracking") / "history.jsonl").open("a") as file:
        file.write('{"step": 192, "timest')  # a kill while a line was written
    with tracker(manifest) as track:
        for step in (128, 192):
            track.log_row(step, {"loss": step / 64, "system/examples_per_second": 80.0})  # repeated with another speed
        assert [row["images_seen"] for row in track.rows()] == [64, 128, 192]
    assert only_run().info.status == "FINISHED"
    assert history("loss") == [(64, 1.0), (128, 2.0), (192, 3.0)]
    assert history("system/examples_per_second") == [(64, 90.0), (128, 90.0), (192, 80.0)]


def test_a_training_that_fails_ends_its_run_as_failed(manifest: Manifest) -> None:
    with pytest.raises(ZeroDivisionError):
        train_until(ZeroDivisionError(), manifest, {64: 1.0})
    assert only_run().info.status == "FAILED"
    assert history("loss") == [(64, 1.0)]


def test_a_killed_and_restarted_training_has_every_row_once(manifest: Manifest) -> None:
    code = """
import itertools, sys, time
from pathlib import Path
from components.tracking import tracker
from gan_core.data.manifest import Manifest
tracker.SEND_EVERY_SECONDS = 0.01
manifest = Manifest.parse(Path("manifest.json").read_text(), "")
with tracker.TrainingTracker(Path("tracking"), parameters={}, tags={}, dataset=manifest) as track:
    print("run", track.run_id, flush=True)
    for step in itertools.count(1):
        track.log_row(step, {"loss": float(step)})
        time.sleep(0.01)
"""
    Path("manifest.json").write_text(manifest.model_dump_json())
    for delay in (0.0, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    with tracker(manifest) as track:
        recorded = [row["images_seen"] for row in track.rows()]
    assert recorded
    assert recorded == list(range(1, len(recorded) + 1))
    assert history("loss") == [(step, float(step)) for step in recorded]


def test_a_run_that_the_server_lost_is_created_again_with_all_records(
    manifest: Manifest, mlflow_database: Path
) -> None:
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
    shutil.copy(mlflow_database, "mlflow.db")
    with tracker(manifest) as track:
        track.log_row(2, {"loss": 2.0})
    assert history("loss") == [(1, 1.0), (2, 2.0)]
    assert only_run().data.params["train.learning_rate"] == "0.0002"


def test_the_tracker_uses_the_run_that_the_environment_names(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    named = client.create_run(experiment_id(client))
    client.log_param(named.info.run_id, "train.learning_rate", "set by who made the run")
    monkeypatch.setenv("MLFLOW_RUN_ID", named.info.run_id)
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
        assert track.run_id == named.info.run_id
    assert only_run().data.params["train.learning_rate"] == "set by who made the run"
    assert only_run().data.params["prepare.source"] == "synthetic"
    assert history("loss") == [(1, 1.0)]


def test_an_experiment_in_a_temporary_copy_is_tracked_in_the_project(
    manifest: Manifest, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project / ".dvc" / "tmp" / "exps" / "copy"
    copy.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("DVC_EXP_NAME", "wider")
    monkeypatch.chdir(copy)
    with tracker(manifest) as track:
        track.log_image(1, "samples", blobs(1)[0])
    assert tracking_uri() == f"sqlite:///{project / 'mlflow.db'}"
    assert only_run().info.run_name == "wider synthetic-16x16x1"
    assert list((project / "mlruns").rglob("samples*.png"))


def test_two_processes_cannot_write_to_one_folder(manifest: Manifest) -> None:
    with tracker(manifest):
        refused = send()
    assert refused.returncode == 2
    assert (
        refused.stderr == "error: A running training sends its records itself: wait for its end. Received: tracking\n"
    )


def test_passwords_do_not_appear_in_messages() -> None:
    error = RuntimeError("request to https://someone:secret@mlflow.example/api failed\nsecond line")
    assert explain(error) == "request to https://mlflow.example/api failed."


def train_until(error: BaseException, manifest: Manifest, losses: dict[int, float]) -> None:
    with tracker(manifest) as track:
        for step, loss in losses.items():
            track.log_row(step, {"loss": loss, "system/examples_per_second": 90.0})
        raise error

"""Trackers for the tests, and the records that they logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs

from components.tracking.runs import experiment_id
from components.tracking.server import connect
from components.tracking.tracker import TrainingTracker
from gan_core.data.manifest import Manifest

ROOT = Path(__file__).resolve().parents[1]
NO_SERVER = "http://127.0.0.1:9"  # a port where no server answers


def tracker(manifest: Manifest, *, passed_on: bool = False, **parameters: object) -> TrainingTracker:
    return TrainingTracker(
        Path("tracking"),
        parameters={"learning_rate": 0.0002, **parameters},
        tags={"device": "cpu"},
        dataset=manifest,
        passed_on=passed_on,
    )


def log_three_rows(track: TrainingTracker) -> None:
    for step in (1, 2, 3):
        track.log_row(step, {"loss": float(step)})
    track.log_image(3, "samples", blobs(1)[0])
    track.log_sounds(3, "samples", [b"RIFF of one", b"RIFF of two"])


def require_three_rows() -> None:
    """Checks that the only run has what `log_three_rows` logs, once, and has finished."""
    assert history("loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert pictures() == ["samples+step+3.png", "samples+step+3.webp"]
    sounds = connect().list_artifacts(only_run().info.run_id, "sounds/000000003")
    assert [sound.path for sound in sounds] == [f"sounds/000000003/samples-{number}.wav" for number in (1, 2)]
    assert only_run().info.status == "FINISHED"


def only_run() -> Any:
    client = connect()
    [run] = client.search_runs([experiment_id(client)])
    return client.get_run(run.info.run_id)


def history(name: str) -> list[tuple[int, float]]:
    """Returns steps and values of a metric of the only run, in the order of the database."""
    return [(point.step, point.value) for point in connect().get_metric_history(only_run().info.run_id, name)]


def pictures() -> list[str]:
    files = connect().list_artifacts(only_run().info.run_id, "images")
    return sorted(Path(file.path).name.split("+timestamp")[0] + Path(file.path).suffix for file in files)


def use(address: str, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment)


def sent() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path("tracking") / "sent.json").read_text())
    return content


def send() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.tracking", "send", "tracking"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def wait_until(condition: Any) -> None:
    while not condition():
        time.sleep(0.05)

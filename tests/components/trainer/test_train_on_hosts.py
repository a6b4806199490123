"""The step that trains on several hosts refuses what cannot work before it creates a TrainJob."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from recipes import small_parameters

ROOT = Path(__file__).resolve().parents[3]


def job(hosts: int = 2, **limits: str) -> dict[str, Any]:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"} | limits}
    return {"kind": "TrainJob", "spec": {"trainer": {"numNodes": hosts, "env": [], "resourcesPerNode": resources}}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "prepared", blobs(100), blobs(10, seed=1))


@pytest.mark.parametrize(
    ("changes", "trainjob", "run", "message"),
    [
        ({}, "{", "r1", "--job must be a TrainJob with several hosts, as a JSON object. Received: {"),
        ({}, json.dumps(job(hosts=1)), "r1", "--job must be a TrainJob with several hosts"),
        ({}, json.dumps(job()), "", "KFP_RUN_ID must name the Kubeflow run. Received: none"),
        ({"xla": "on"}, json.dumps(job()), "r1", "train.xla auto or off. Received: distribution=auto, xla=on"),
        ({"distribution": "single"}, json.dumps(job()), "r1", "Received: distribution=single, xla="),
        ({}, json.dumps(job(hosts=3)), "r1", "accumulation_steps=1, 3 devices"),
        ({}, json.dumps(job(**{"nvidia.com/gpu": "5"})), "r1", "accumulation_steps=1, 10 devices"),
        (
            {},
            json.dumps(job()),
            "r1",
            "TrainJobs need a pod of a Kubernetes cluster. Received: Service host/port is not set",
        ),
    ],
)
def test_one_sentence_says_what_is_wrong(dataset, tmp_path, monkeypatch, changes, trainjob, run, message) -> None:
    monkeypatch.setenv("KFP_RUN_ID", run)
    places = {name: tmp_path / name for name in ("checkpoints", "model", "history", "samples")}
    command = [sys.executable, "-m", "components.train_on_hosts", "--job", trainjob, "--dataset", str(dataset)]
    command += ["--config", json.dumps(small_parameters(**changes))]
    command += [word for name, place in places.items() for word in (f"--{name}", str(place))]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2, answer.stderr
    *before, error = answer.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert all(line.startswith("INFO: ") for line in before)
    assert not list(tmp_path.glob("checkpoints/trainjobs/*"))

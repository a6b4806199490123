"""Starts `make up-local`, uses it for a training and a registration, and stops it; nothing remains."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from datasets import blobs, write_dataset
from evaluations import evaluation
from manifests import INFRA, ROOT
from recipes import project_parameters

from infra.local.services import postgres_programs

needs_postgres = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
)
STEPS, BATCH_SIZE = 2, 8


def services(command: str, record: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(INFRA / "local/services.py"), command, "--record", str(record)]
    return subprocess.run(line, env=os.environ | changes, capture_output=True, text=True, check=False)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "local.json"
    services("down", tmp_path / "local.json")


@needs_postgres
def test_a_training_is_tracked_and_registered_and_nothing_remains(record: Path, tmp_path: Path) -> None:
    started = services("up", record)
    assert started.returncode == 0, started.stderr
    exports = dict(re.findall(r"(?m)^export (\w+)=(http://127\.0\.0\.1:\d+)$", started.stdout))
    assert exports.keys() == {"MLFLOW_TRACKING_URI", "STORAGE_EMULATOR_HOST"}
    assert services("up", record).stdout == started.stdout  # running services are not started again

    written = json.loads(record.read_text())
    family = [psutil.Process(entry["pid"]) for entry in written["processes"]]
    assert len(family) == 3
    family += [child for process in family for child in process.children(recursive=True)]

    train_and_register(tmp_path, exports)
    server = exports["MLFLOW_TRACKING_URI"]
    alias = get(f"{server}/api/2.0/mlflow/registered-models/alias?name=synthetic-16x16x1&alias=champion")
    assert alias["model_version"]["version"] == "1"
    run = get(f"{server}/api/2.0/mlflow/runs/get?run_id={alias['model_version']['run_id']}")["run"]
    assert run["info"]["status"] == "FINISHED"
    objects = get(f"{exports['STORAGE_EMULATOR_HOST']}/storage/v1/b/gan-pipeline/o?prefix=mlflow/")["items"]
    assert any(item["name"].endswith("generator.keras") for item in objects)

    ended = services("down", record)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not Path(written["folder"]).exists()
    assert not record.exists()
    assert services("down", record).returncode == 0


def train_and_register(folder: Path, exports: dict[str, str]) -> None:
    dataset = write_dataset(folder / "prepared", blobs(64), blobs(32, seed=1), classes=2)
    params = project_parameters()
    params["train"] |= {"steps": STEPS, "batch_size": BATCH_SIZE, "generator_width": 4, "discriminator_width": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))

    def run(stage: str, *options: str) -> None:
        line = [sys.executable, "-m", f"components.{stage}", "--config", "params.yaml", "--model", "model", *options]
        variables = os.environ | exports | {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    outputs = ["--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png"]
    run("train", "--dataset", str(dataset), *outputs)
    generator = json.loads((folder / "model" / "generator.json").read_text())
    scored = evaluation(1.0, 0.0, generator["tracking_run_id"], of=folder / "model")
    scored = scored.model_copy(
        update={"images_seen": STEPS * BATCH_SIZE, "dataset_digest": generator["dataset_digest"]}
    )
    (folder / "scores.json").write_text(scored.model_dump_json())
    run("register", "--scores", "scores.json", "--registration", "registration.json")


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def running_processes() -> set[int]:
    """Returns the ids of all processes that any call of up-local started."""
    lines = {process.pid: " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])}
    return {pid for pid, line in lines.items() if "/gan-pipeline-local-" in line}


@needs_postgres
def test_the_other_services_stop_if_one_does_not_start(record: Path, tmp_path: Path) -> None:
    """A Python without the storage emulator can start only PostgreSQL."""
    lonely = tmp_path / "bin" / "python"
    lonely.parent.mkdir()
    lonely.symlink_to(sys.executable)
    code = (
        "import sys, runpy; sys.executable = sys.argv.pop(1); sys.argv.pop(0); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    line = [sys.executable, "-c", code, str(lonely), str(INFRA / "local/services.py"), "up", "--record", str(record)]
    before = running_processes()
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "gcp-storage-emulator" in result.stderr
    assert running_processes() <= before
    assert not record.exists()


def test_the_error_for_missing_postgresql_names_the_package(record: Path) -> None:
    code = (
        "import pathlib, runpy, shutil, sys; shutil.which = lambda name: None; "
        "pathlib.Path.glob = lambda *_: iter(()); sys.argv.pop(0); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    line = [sys.executable, "-c", code, str(INFRA / "local/services.py"), "up", "--record", str(record)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: PostgreSQL's server must be installed: apt-get install postgresql.")
    assert not record.exists()

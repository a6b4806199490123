"""Mistakes that every stage reports with one sentence and an exit code, without a partial output. Real commands run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation
from generators import generator_metadata
from recipes import project_parameters, small_parameters

from gan_core.export import read_metadata, save_generator

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (16, 16, 1)
NO_SERVER = "http://127.0.0.1:9"  # a port where no server answers

# The options of each stage except --config; {out} is the folder of its outputs.
OPTIONS = {
    "prepare": "--dataset {out}/prepared",
    "train": "--dataset data --checkpoints {out}/checkpoints --model {out}/model --history {out}/h.csv"
    " --samples {out}/s.png",
    "evaluate": "--real data --generated generator --cache cache --scores {out}/scores.json --report {out}/r.html",
    "register": "--model generator --scores scores.json --registration {out}/registration.json",
}
# A numeric parameter of each stage, and a value outside its limits.
OUT_OF_RANGE = {
    "prepare": ("images_per_shard", 0),
    "train": ("batch_size", 1),
    "evaluate": ("samples", 1),
    "register": ("minimum_improvement", 1.0),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inputs of all stages."""
    folder = tmp_path_factory.mktemp("stages")
    write_dataset(folder / "data", blobs(60), blobs(40, seed=1), classes=2)
    layers = [keras.Input((8,)), keras.layers.Dense(int(np.prod(SHAPE)), "tanh"), keras.layers.Reshape(SHAPE)]
    metadata = generator_metadata(latent_size=8, shape=SHAPE)
    save_generator(folder / "generator", keras.Sequential(layers), metadata)
    (folder / "scores.json").write_text(evaluation(1.0, 0.0, of=folder / "generator").model_dump_json())
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def parameters(stage: str) -> dict[str, Any]:
    """Returns the stage's section with small values."""
    section: dict[str, Any] = project_parameters()[stage]
    small = {
        "train": small_parameters(checkpoint_every_seconds=0.0),
        "evaluate": {"extractor": "random", "samples": 90, "sampling_seeds": 1, "metrics": ["fid"]},
    }
    return section | small.get(stage, {})


def run(stage: str, section: dict[str, Any], workspace: Path, out: Path, **settings: str) -> tuple[int, list[str]]:
    """Runs the stage; returns its exit code and the lines on stderr except progress and information."""
    command = [sys.executable, "-m", f"components.{stage}", "--config", json.dumps(section)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    done = subprocess.run(
        [*command, *OPTIONS[stage].format(out=out).split()],
        cwd=workspace,
        env=environment | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(out.parent)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    messages = [line for line in done.stderr.splitlines() if " images [" not in line and not line.startswith("INFO: ")]
    return done.returncode, messages


@pytest.mark.parametrize("stage", OPTIONS)
@pytest.mark.parametrize("mistake", ["unknown key", "missing key", "wrong type", "out of range"])
def test_a_wrong_parameter_is_refused_in_one_sentence(
    stage: str, mistake: str, workspace: Path, tmp_path: Path
) -> None:
    section = parameters(stage)
    name, invalid = OUT_OF_RANGE[stage]
    if mistake == "unknown key":
        section, sentence = section | {"colour": 1}, f"There is no parameter '{stage}.colour'. Received: colour=1"
    elif mistake == "missing key":
        del section[name]
        sentence = f"The parameter '{stage}.{name}' is missing. Received: nothing"
    elif mistake == "wrong type":
        section, sentence = section | {name: "many"}, f"Received: {name}='many'"
    else:
        section, sentence = section | {name: invalid}, f"Received: {name}={invalid}"
    code, messages = run(stage, section, workspace, tmp_path / "out")
    assert (code, len(messages)) == (2, 1), messages
    assert messages[0].startswith("error: ")
    assert f"'{stage}." in messages[0]
    assert sentence in messages[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", OPTIONS)
def test_a_read_only_output_is_refused_in_one_sentence(stage: str, workspace: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, messages = run(stage, parameters(stage), workspace, disk)
    assert (code, len(messages)) == (2, 1), messages
    assert messages[0].startswith(
        f"error: The output's folder must be writable: Read-only file system. Received: {disk}/"
    )


@pytest.mark.parametrize("stage", OPTIONS)
def test_a_full_disk_is_a_temporary_failure(stage: str, workspace: Path, disk: Path) -> None:
    (disk / "filling").write_bytes(bytes(2**15 if stage == "train" else 2**16))  # a training needs space to start
    code, messages = run(stage, parameters(stage), workspace, disk)
    assert code == 75, messages
    assert [line for line in messages if not line.startswith("warning: ")] == [
        "error: The disk is full: [Errno 28] No space left on device. Free some space and run the same command again."
    ]
    assert {path.name for path in disk.iterdir()} <= {"filling", "checkpoints"}


def test_only_registration_requires_the_tracking_server(workspace: Path, tmp_path: Path) -> None:
    """Without the server, training and evaluation continue and print a warning, and registration fails."""
    unreachable = {"MLFLOW_TRACKING_URI": NO_SERVER, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    out = tmp_path / "out"
    code, messages = run("train", parameters("train"), workspace, out, **unreachable)
    assert code == 0, messages
    assert [line.partition(":")[0].partition(" (")[0].partition(" 6 rows")[0] for line in messages] == [
        "MLflow does not answer",
        "MLflow did not receive",
    ]
    assert read_metadata(out / "model").tracking_run_id is None

    code, messages = run("evaluate", parameters("evaluate"), workspace, out, **unreachable)
    assert code == 0, messages
    assert messages == ["The generator's training has no MLflow run, so the scores are not in MLflow."]
    shutil.rmtree(out)

    code, messages = run("register", parameters("register"), workspace, out, **unreachable)
    assert (code, len(messages)) == (75, 1), messages
    assert messages[0].startswith("error: MLflow did not register the generator: ")
    assert not out.exists()

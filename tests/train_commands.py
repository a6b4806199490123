"""The train command in a process of its own, which a test may kill, and what it wrote."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.export import load_generator
from gan_core.generator import GeneratorMetadata

_ROOT = Path(__file__).resolve().parent.parent


def start(
    folder: Path,
    dataset: Path,
    config: str,
    cluster: Mapping[str, Any] | None = None,
    prefix: Sequence[str] = (),
    **paths: Path,
) -> subprocess.Popen[str]:
    """Starts a training that writes into `folder`; `paths` replace single outputs, `prefix` precedes the command."""
    command = [*prefix, sys.executable, "-m", "components.train", "--config", config, "--dataset", str(dataset)]
    outputs = {"checkpoints": "checkpoints", "model": "model", "history": "history.csv", "samples": "samples.png"}
    for name, path in outputs.items():
        command += [f"--{name}", str(paths.get(name, folder / path))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(_ROOT)
    if cluster:
        environment["TF_CONFIG"] = json.dumps(cluster)
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the end; returns the exit code and what was written to stderr."""
    _, errors = process.communicate()
    return process.returncode, errors


def newest_checkpoint(folder: Path) -> str:
    """The name of the newest checkpoint; empty if there is none."""
    return max((path.name for path in folder.glob("checkpoints/*/*.npz")), default="")


def wait_for_a_new_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    """Waits until the running process has written a checkpoint."""
    before = newest_checkpoint(folder)
    while process.poll() is None and newest_checkpoint(folder) == before:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def wait_for(process: subprocess.Popen[str], sentence: str) -> str:
    """Returns what the process wrote to stderr up to the line with the sentence."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if sentence in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def outcome(folder: Path) -> tuple[list[dict[str, Any]], list[np.ndarray], bytes, GeneratorMetadata]:
    """Returns the rows of the history without speeds, the generator's weights, the samples and the description."""
    with (folder / "history.csv").open() as file:
        rows = [{**row, "system/examples_per_second": None} for row in csv.DictReader(file)]
    generator = load_generator(folder / "model")
    return rows, generator.model.get_weights(), (folder / "samples.png").read_bytes(), generator.metadata

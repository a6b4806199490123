"""Trains the cases of same_weights.py with the commands of one revision of the project.

Like same_weights.py, this module must not import gan_core or components when it is imported.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from benchmarks.same_weights_cases import CASES, DATA, MODEL, SMALL, Case

_PROJECT = Path(__file__).resolve().parents[1]
HISTORY = "history.csv/"
"""Begins the names of the history's figures."""
Arrays = dict[str, NDArray[Any]]


_starting, _stopped = threading.Lock(), threading.Event()


class Revision:
    """One revision, whose commands run in a separate folder."""

    def __init__(self, code: Path, folder: Path) -> None:
        folder.mkdir()
        self._code, self._folder = code, folder
        self._sections = YAML(typ="safe").load((code / "params.yaml").read_text(encoding="utf-8"))

    def train(self, name: str) -> tuple[Arrays | str, float]:
        """Trains a case; returns the arrays to compare, or the message of the failure, and the seconds it took."""
        case = CASES[name]
        started = time.monotonic()
        try:
            self._prepare(case.data)
            for changes in case.trainings:
                if "warm_start" in changes:
                    self._register()
                self._train(name, case, changes)
            found: Arrays | str = _arrays(self._folder / name)
        except RuntimeError as error:
            found = str(error)
        return found, time.monotonic() - started

    def _prepare(self, data: str) -> None:
        if not (self._folder / "data" / data).exists():
            section, changes = self._sections["prepare"], DATA[data]
            if "image" in section:
                config = section | changes | {"image": section["image"] | changes["image"]}
            else:  # a revision in which images were the only data
                image = changes["image"] | {"resolution": changes["image"]["height"]}
                del image["height"], image["width"]
                config = section | {"source": changes["source"]} | image
            self._run("prepare", config=config, dataset=f"data/{data}")

    def _train(self, name: str, case: Case, changes: Mapping[str, Any]) -> None:
        config = self._sections["train"] | SMALL | changes
        hosts = [f"127.0.0.1:{port}" for port in _free_ports(case.hosts)]
        with ThreadPoolExecutor(case.hosts) as all_hosts:
            for started in [
                all_hosts.submit(
                    self._run,
                    "train",
                    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": host}}
                    if host or hosts[1:]
                    else None,
                    config=config,
                    dataset=f"data/{case.data}",
                    cache="cache",
                    checkpoints=f"{place}/checkpoints",
                    model=f"{place}/model",
                    history=f"{place}/history.csv",
                    samples=f"{place}/samples.png",
                )
                for host in range(case.hosts)
                for place in [f"{name}/host-{host}" if host else name]
            ]:
                started.result()

    def _register(self) -> None:
        """Registers the generator of a conditional training of the same networks."""
        self._train("registered", CASES["dcgan conditional"], CASES["dcgan conditional"].trainings[0])
        quick = {"extractor": "random", "metrics": ["fid"], "samples": 200, "sampling_seeds": 1}
        self._run(
            "evaluate",
            config=self._sections["evaluate"] | quick,
            real="data/grey",
            generated="registered/model",
            cache="cache",
            scores="registered/scores.json",
            report="registered/report.html",
        )
        self._run(
            "register",
            config=self._sections["register"] | {"model_name": MODEL, "score": "fd_random"},
            model="registered/model",
            scores="registered/scores.json",
            registration="registered/registration.json",
        )

    def _run(self, command: str, cluster: Mapping[str, Any] | None = None, /, **options: Any) -> None:
        """Runs `python -m components.<command>`; raises RuntimeError if it fails."""
        arguments = [f"components.{command}"]
        for name, value in options.items():
            arguments += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
        environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{self._folder}/mlflow.db"}
        if cluster:
            environment["TF_CONFIG"] = json.dumps(cluster)
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as output:
            process = multiprocessing.Process(
                target=_command, args=(self._code, self._folder, environment, arguments, output.name)
            )
            with _starting:
                if _stopped.is_set():
                    raise RuntimeError(f"{command} was not started")
                process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"{command} failed: {(output.read().splitlines() or [''])[-1]}")


def stop() -> None:
    """Ends the commands of all revisions; no other command starts."""
    with _starting:
        _stopped.set()
    for process in multiprocessing.active_children():
        process.kill()


def _command(code: Path, folder: Path, environment: Mapping[str, str], arguments: list[str], output: str) -> None:
    """Runs a module of the project in `code` as `python -m` does. Called in a new process."""
    os.chdir(folder)
    os.environ |= environment
    tempfile.tempdir = str(folder)  # a killed command leaves its temporary files there
    sys.path.insert(0, str(code))
    sys.argv = arguments
    with open(output, "w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _arrays(folder: Path) -> Arrays:
    """Returns everything that a training wrote, by name, except times."""
    from gan_core.metric_names import EXAMPLES_PER_SECOND, current

    newest = max(folder.glob("checkpoints/*/*.npz"))
    with np.load(newest, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files if name != "history" and not name.startswith("course_")}
    with zipfile.ZipFile(folder / "model/generator.keras") as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        file.visititems(
            lambda name, item: (
                found.update({f"generator.keras/{name}": item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if current(name) != EXAMPLES_PER_SECOND:
                    found[f"{HISTORY}{row['images_seen']}/{current(name)}"] = np.array(float(value))
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def checkout(revision: str | None, folder: Path) -> Path:
    """Writes the files of a git revision into `folder`; without a revision, returns the project's folder."""
    if revision is None:
        return _PROJECT
    command = ["git", "-C", str(_PROJECT), "archive", "--format=tar", revision]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        files.extractall(folder)  # noqa: S202  # this repository's own files
    return folder

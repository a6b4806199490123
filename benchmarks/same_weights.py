"""Checks that two revisions give the same weights: `python -m benchmarks.same_weights --old e873eab`.

Each case is trained by both revisions at the same time, with the commands that people run, and takes 50 steps of small
networks. Then the arrays of the last checkpoint (networks, averages, optimisers, counters), the weights in
`generator.keras` and the history are compared bit by bit. Names that only one
history has are ignored. Any other difference is printed, and the exit code is 1.

The commands run in children of one process that has already imported TensorFlow and MLflow, which saves most of the
time of a training this small.
"""

from __future__ import annotations

import argparse
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
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

# This module must not import gan_core or components: the processes that import it then import those of a revision.

_PROJECT = Path(__file__).resolve().parents[1]
_MODEL = "same-weights"
_HISTORY = "history.csv/"
Arrays = dict[str, NDArray[Any]]


class Case(NamedTuple):
    """One or more trainings that share their checkpoints. The last one is compared.

    Attributes:
        trainings: each training's changes of _SMALL.
        data: one of _DATA.
        hosts: number of processes that train together.
    """

    trainings: tuple[Mapping[str, Any], ...]
    data: str = "grey"
    hosts: int = 1


_DATA: dict[str, dict[str, Any]] = {
    "grey": {"source": "digits", "resolution": 16},
    "colour": {"source": "digits", "resolution": 32, "channels": 3, "fit": "pad"},
    "inpainting": {"source": "digits", "resolution": 16, "pairs": "inpainting"},
    "super_resolution": {"source": "digits", "resolution": 16, "pairs": "super_resolution"},
    "clothes": {"source": "embedded", "resolution": 28},
}
_SMALL = {
    "latent_size": 8,
    "generator_width": 8,
    "discriminator_width": 8,
    "growth": 2,
    "conditional": "off",
    "steps": 50,
    "steps_per_execution": 1,
    "batch_size": 8,
    "log_every_images": 100,
    "samples_every_images": 200,
    "score_every_images": 0,
    "score_samples": 64,
    "ema_half_life_images": 100,
}
_NETWORKS = {
    "dcgan": {"normalization": "batch"},
    "resnet": {"normalization": "spectral"},
    "r3gan": {"normalization": "none"},
    "unet": {"normalization": "batch"},
}
_LOSSES: dict[str, dict[str, Any]] = {
    "minimax": {},
    "non_saturating": {},
    "hinge": {},
    "wasserstein": {"normalization": "none", "gradient_penalty_weight": 10.0},
    "relativistic": {"normalization": "none", "r1_weight": 0.5, "r2_weight": 0.5},
}
_PENALISED = {"normalization": "none", "r1_weight": 0.5, "r2_weight": 0.25, "gradient_penalty_weight": 2.0}
_AUGMENTED = {"augment": ["color", "translation", "cutout"], "augment_probability": 0.5}
_SCHEDULED = {
    **_PENALISED,
    **_AUGMENTED,
    "schedule_images": 300,
    "final_learning_rate": 0.0001,
    "final_beta_2": 0.9,
    "final_penalty_factor": 0.1,
    "final_augment_probability": 0.1,
}
_EVERYTHING = {
    **_AUGMENTED,
    "augment_target": 0.6,
    "loss": "relativistic",
    "normalization": "none",
    "conditional": "on",
    "dropout": 0.2,
    "r1_weight": 0.5,
    "r2_weight": 0.5,
    "penalty_interval": 4,
    "accumulation_steps": 2,
    "discriminator_steps": 2,
}


def _one(data: str = "grey", hosts: int = 1, **changes: Any) -> Case:
    return Case((changes,), data, hosts)


_CASES = {
    f"{network} {loss}": _one(
        "inpainting" if network == "unet" else "grey", network=network, loss=loss, **{**own, **_LOSSES[loss]}
    )
    for network, own in _NETWORKS.items()
    for loss in _LOSSES
} | {
    **{f"{name} conditional": _one(network=name, conditional="on", **_NETWORKS[name]) for name in ("dcgan", "resnet")},
    "r3gan conditional": _one(network="r3gan", normalization="none", conditional="on", depth=2),
    "balanced classes": _one(conditional="on", balanced_classes=True),
    "28 pixels": _one("clothes", conditional="auto", steps_per_execution=4),
    "colour": _one("colour", normalization="spectral", growth=4, depth=2),
    "dropout": _one(dropout=0.4),
    "super resolution": _one("super_resolution", network="unet", reconstruction="l1", reconstruction_weight=10.0),
    "inpainting, l2": _one("inpainting", network="unet", reconstruction="l2", reconstruction_weight=10.0),
    "reconstruction without pairs": _one(reconstruction="l1", reconstruction_weight=1.0),
    "accumulation": _one(accumulation_steps=4, normalization="none", conditional="on", dropout=0.2),
    "two discriminator steps": _one(discriminator_steps=2, discriminator_learning_rate_factor=2.0),
    "r1": _one(normalization="none", r1_weight=0.5),
    "r2": _one(normalization="none", r2_weight=0.5),
    "lazy penalties": _one(**_PENALISED, penalty_interval=4, steps_per_execution=3),
    **{name: _one(augment=[name], augment_probability=0.5) for name in _AUGMENTED["augment"]},
    "adaptive augmentation": _one(**_AUGMENTED, augment_target=0.6),
    "linear schedule": _one(schedule="linear", **_SCHEDULED),
    "cosine schedule": _one(schedule="cosine", **_SCHEDULED),
    "scores": _one(score_every_images=150, conditional="on"),
    "mixed precision": _one(mixed_precision="on"),
    "mixed precision, r3gan": _one(network="r3gan", normalization="none", mixed_precision="on"),
    "xla": _one(xla="on"),
    "everything": _one(**_EVERYTHING),
    "resumed": Case((_EVERYTHING | {"steps": 20}, _EVERYTHING)),
    "warm start": _one(conditional="on", warm_start=f"models:/{_MODEL}@champion"),
    "two replicas": _one(hosts=2, distribution="multi_worker", conditional="on"),
    "two replicas, everything": _one(hosts=2, distribution="multi_worker", **_EVERYTHING),
}


def main() -> None:
    """Trains with both revisions, compares and prints the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, help="git revision")
    parser.add_argument("--new", help="git revision (default: the files of this folder)")
    parser.add_argument("--only", nargs="+", choices=_CASES, metavar="CASE", help=f"of: {', '.join(_CASES)}")
    arguments = parser.parse_args()
    os.environ |= {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload(["tensorflow", "mlflow"])
    different = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as both:
        sides = [
            _Side(_checkout(arguments.old, Path(folder) / "old-code"), Path(folder) / "old"),
            _Side(_checkout(arguments.new, Path(folder) / "new-code"), Path(folder) / "new"),
        ]
        print("| case | | seconds, old | new |\n|---|---|---|---|", flush=True)
        for name in arguments.only or _CASES:
            (old, seconds), (new, new_seconds) = both.map(_Side.train, sides, [name] * 2)
            found = old if isinstance(old, str) else new if isinstance(new, str) else first_difference(old, new)
            different += bool(found)
            print(f"| {name} | {found or 'equal'} | {seconds:.0f} | {new_seconds:.0f} |", flush=True)
    sys.exit(different > 0)


def first_difference(old: Arrays, new: Arrays) -> str:
    """Describes the first array that differs and counts all that differ; empty if all are equal bit by bit.

    Columns of the history that only one side has are ignored.
    """
    if odd := sorted(name for name in old.keys() ^ new.keys() if not name.startswith(_HISTORY)):
        return f"{len(odd)} arrays are on one side only, such as {odd[0]}"
    different = [name for name in old if name in new and _bits(old[name]) != _bits(new[name])]
    if not different:
        return ""
    return (
        f"{len(different)} of {len(old)} arrays differ; {different[0]}: {_size(old[different[0]], new[different[0]])}"
    )


def _bits(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _size(old: NDArray[Any], new: NDArray[Any]) -> str:
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"{old.dtype} {old.shape} and {new.dtype} {new.shape}"
    ours, theirs = old.astype(float), new.astype(float)
    return f"by up to {np.nanmax(np.abs(ours - theirs)):.2g}, of values up to {np.nanmax(np.abs(ours)):.2g}"


class _Side:
    """One revision, whose commands run in a separate folder."""

    def __init__(self, code: Path, folder: Path) -> None:
        folder.mkdir()
        self._code, self._folder = code, folder
        self._sections = YAML(typ="safe").load((code / "params.yaml").read_text(encoding="utf-8"))

    def train(self, name: str) -> tuple[Arrays | str, float]:
        """Trains a case; returns the arrays to compare, or the message of the failure, and the seconds it took."""
        case = _CASES[name]
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
            self._run("prepare", config=self._sections["prepare"] | _DATA[data], dataset=f"data/{data}")

    def _train(self, name: str, case: Case, changes: Mapping[str, Any]) -> None:
        config = self._sections["train"] | _SMALL | changes
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
        self._train("registered", _CASES["dcgan conditional"], _CASES["dcgan conditional"].trainings[0])
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
            config=self._sections["register"] | {"model_name": _MODEL, "score": "fd_random"},
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
            process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"{command} failed: {(output.read().splitlines() or [''])[-1]}")


def _command(code: Path, folder: Path, environment: Mapping[str, str], arguments: list[str], output: str) -> None:
    """Runs a module of the project in `code` as `python -m` does. Called in a new process."""
    os.chdir(folder)
    os.environ |= environment
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
                    found[f"{_HISTORY}{row['images_seen']}/{current(name)}"] = np.array(float(value))
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _checkout(revision: str | None, folder: Path) -> Path:
    """Writes the files of a git revision into `folder`; without a revision, returns the project's folder."""
    if revision is None:
        return _PROJECT
    command = ["git", "-C", str(_PROJECT), "archive", "--format=tar", revision]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


if __name__ == "__main__":
    main()

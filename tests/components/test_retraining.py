"""The retraining loop on one machine with the real commands, on new, unchanged, more and damaged data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from recipes import project_parameters
from sklearn.datasets import load_digits

from pipelines.parameters import override, read

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = [
    *("prepare.source=data/raw/digits", "prepare.image.height=16", "prepare.image.width=16"),
    *("train.steps=60", "train.latent_size=8", "train.generator_width=8", "train.discriminator_width=8"),
    *("train.batch_size=32", "train.log_every_images=640", "train.samples_every_images=1920"),
    *("train.collapse_diversity=0", "train.warm_start=champion"),
    *("evaluate.extractor=random", "evaluate.samples=200", "evaluate.sampling_seeds=2", "evaluate.metrics=[fid]"),
    *("evaluate.bootstrap_replicates=10", "register.score=fd_random"),
    *("register.minimum_improvement=0", "register.spread_multiplier=0"),
]


class Machine:
    """The project's folder, and the team's folder with the data. The team's DVC cache is the remote."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.team, self.project = folder / "team", folder / "project"
        self.remote = self.team / ".dvc" / "cache"
        for path in (self.team, self.project):
            path.mkdir()
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        self._environment |= {"DVC_SITE_CACHE_DIR": str(folder / "site"), "XDG_CACHE_HOME": str(folder / "cache")}
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for name in ("components", "gan_core"):
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "dvc.yaml", self.project)
        shutil.copy(database, self.project / "mlflow.db")
        (self.project / "params.yaml").write_text(yaml.safe_dump(self._parameters()))
        for path in (self.team, self.project):
            self._run(path, "dvc", "init", "--no-scm")
        shutil.copy(ROOT / ".dvcignore", self.project)  # DVC must ignore bytecode

    def _parameters(self) -> dict[str, object]:
        everything = project_parameters()
        return everything | override(read(ROOT / "params.yaml"), PARAMETERS)

    def publish(self) -> None:
        """Adds the team's changed folder to DVC."""
        self._run(self.team, "dvc", "add", "digits")

    def week(self) -> subprocess.CompletedProcess[str]:
        """Does the scheduled work: resolves the version, fetches it, and runs the stages that are out of date."""
        found = self.run("components.resolve", "--pointer", str(self.team / "digits.dvc"), "--version", "build/version")
        assert found.returncode == 0, found.stderr
        source = ["--pointer", self.version(), "--remote", str(self.remote)]
        fetched = self.run("components.fetch", *source, "--data", "data/raw/digits")
        assert fetched.returncode == 0, fetched.stderr
        return self.run("dvc", "repro")

    def version(self) -> str:
        return (self.project / "build" / "version").read_text()

    def run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.project, sys.executable, "-m", module, *words, check=False)

    def _run(self, folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=folder, env=self._environment, capture_output=True, text=True, check=check)

    def decision(self) -> dict[str, str]:
        return json.loads((self.project / "reports" / "registration.json").read_text())

    def versions(self) -> int:
        return len(MlflowClient(f"sqlite:///{self.project}/mlflow.db").search_model_versions("name = 'digits-16x16x1'"))


@pytest.fixture
def machine(tmp_path: Path, mlflow_database: Path) -> Machine:
    return Machine(tmp_path, mlflow_database)


def write_digits(folder: Path, first: int, last: int) -> None:
    loaded = load_digits()
    for index in np.random.default_rng(0).permutation(len(loaded.target))[first:last]:
        path = folder / str(loaded.target[index]) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((loaded.images[index] * 15.9).astype(np.uint8)).resize((16, 16)).save(path)


@pytest.mark.slow
def test_new_valid_data_are_trained_on_once(machine: Machine) -> None:
    digits = machine.team / "digits"

    # First week: the registry is empty.
    write_digits(digits, 0, 500)
    machine.publish()
    done = machine.week()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No version has the alias in models:/digits-16x16x1@champion yet" in done.stderr
    first = machine.decision()
    assert (first["decision"], first["version"], machine.versions()) == ("champion", "1", 1)
    shutil.copytree(machine.project / "data" / "prepared", machine.project / "build" / "reference")

    # Unchanged data: no stage runs, and a repeated registration, as on a cluster, reports nothing new.
    before = machine.version()
    done = machine.week()
    assert (done.returncode, machine.version()) == (0, before)
    ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'fingerprint':", "Running stage 'summary':"]  # these two always run
    made = ["--model", "models/generator", "--scores", "reports/scores.json"]
    done = machine.run("components.register", "--config", "params.yaml", *made, "--registration", "build/again.json")
    assert done.stdout.startswith("nothing new, it was registered before: digits-16x16x1 version 1: champion."), (
        done.stderr
    )
    assert machine.versions() == 1

    # More data without drift: the training starts from the champion and is compared with it on the new data.
    write_digits(digits, 500, 800)
    machine.publish()
    done = machine.week()
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.version() != before
    assert "The training starts from the networks of version 1 of digits-16x16x1." in done.stderr
    second = machine.decision()
    assert (second["version"], second["champion"], machine.versions()) == ("2", "1", 2)
    assert second["decision"] in ("champion", "challenger")
    assert "of version 1: " in second["reason"]
    assert "version 1 of digits-16x16x1" in (machine.project / "reports" / "report.html").read_text()
    compared = ["--reference", "build/reference", "--data", "data/prepared", "--record", "build/drift.json"]
    done = machine.run("components.drift", "--exit-code", *compared)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "not drifted"), done.stderr

    # Damaged data: prepare refuses it, and the registry does not change.
    for path in (digits / "0").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    machine.publish()
    done = machine.week()
    assert done.returncode != 0
    assert "max_rejected_fraction" in done.stderr
    assert (machine.decision(), machine.versions()) == (second, 2)

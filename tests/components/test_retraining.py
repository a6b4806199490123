"""The retraining loop with the real commands, on new, unchanged, more and damaged data of each modality."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from mlflow import MlflowClient
from modalities import IMAGES_FIRST, Example

from gan_core.export import load_generator

ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """The project's folder, and the team's folder with the data. The team's DVC cache is the remote."""

    def __init__(self, folder: Path, database: Path, example: Example) -> None:
        self.team, self.project = folder / "team", folder / "project"
        self.remote = self.team / ".dvc" / "cache"
        for path in (self.team, self.project):
            path.mkdir(parents=True)
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        self._environment |= {"DVC_SITE_CACHE_DIR": str(folder / "site"), "XDG_CACHE_HOME": str(folder / "cache")}
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for name in ("components", "gan_core"):
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "dvc.yaml", self.project)
        shutil.copy(database, self.project / "mlflow.db")
        parameters = example.parameters("data/raw/raw", warm_start="champion")
        parameters["drift"]["blocks"] = 4
        (self.project / "params.yaml").write_text(yaml.safe_dump(parameters))
        for path in (self.team, self.project):
            self._run(path, "dvc", "init", "--no-scm")
        shutil.copy(ROOT / ".dvcignore", self.project)  # DVC must ignore bytecode

    def publish(self) -> None:
        """Adds the team's changed folder to DVC."""
        self._run(self.team, "dvc", "add", "raw")

    def week(self) -> subprocess.CompletedProcess[str]:
        """Does the scheduled work: resolves the version, fetches it, and runs the stages that are out of date."""
        found = self.run("components.resolve", "--pointer", str(self.team / "raw.dvc"), "--version", "build/version")
        assert found.returncode == 0, found.stderr
        source = ["--pointer", self.version(), "--remote", str(self.remote)]
        fetched = self.run("components.fetch", *source, "--data", "data/raw/raw")
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

    def versions(self, model: str) -> int:
        return len(MlflowClient(f"sqlite:///{self.project}/mlflow.db").search_model_versions(f"name = '{model}'"))


def same_outputs(one: Path, other: Path) -> None:
    """Checks that two projects have the same data, samples, weights and scores, bit for bit."""
    for path in (*sorted((one / "data" / "prepared").iterdir()), one / "reports" / "samples.png"):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path.name
    weights = [load_generator(project / "models" / "generator").model.get_weights() for project in (one, other)]
    assert [array.tobytes() for array in weights[0]] == [array.tobytes() for array in weights[1]]
    scores = [json.loads((project / "reports" / "scores.json").read_text()) for project in (one, other)]
    for name in ("scores", "spread", "standard_errors", "intervals", "protocol"):
        assert scores[0][name] == scores[1][name]


@IMAGES_FIRST
def test_new_valid_data_are_trained_on_once(example: Example, tmp_path: Path, mlflow_database: Path) -> None:
    machine = Machine(tmp_path, mlflow_database, example)
    raw = machine.team / "raw"

    # First week: the registry is empty.
    example.write(raw, 0, 400, False)
    machine.publish()
    done = machine.week()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"No version has the alias in models:/{example.model}@champion yet" in done.stderr
    first = machine.decision()
    assert (first["decision"], first["version"], machine.versions(example.model)) == ("champion", "1", 1)
    shutil.copytree(machine.project / "data" / "prepared", machine.project / "build" / "reference")

    # The same stages in another folder.
    other = Machine(tmp_path / "other", mlflow_database, example)
    shutil.copytree(raw, other.project / "data" / "raw" / "raw")
    done = other.run("dvc", "repro", "evaluate")
    assert done.returncode == 0, done.stdout + done.stderr
    same_outputs(machine.project, other.project)

    # Unchanged data: no stage runs, and a repeated registration, as on a cluster, reports nothing new.
    before = machine.version()
    done = machine.week()
    assert (done.returncode, machine.version()) == (0, before)
    ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'fingerprint':", "Running stage 'summary':"]  # these two always run
    made = ["--model", "models/generator", "--scores", "reports/scores.json"]
    done = machine.run("components.register", "--config", "params.yaml", *made, "--registration", "build/again.json")
    assert done.stdout.startswith(f"nothing new, it was registered before: {example.model} version 1: champion."), (
        done.stderr
    )
    assert machine.versions(example.model) == 1

    # More data without drift: the training starts from the champion and is compared with it on the new data.
    example.write(raw, 400, 600, False)
    machine.publish()
    done = machine.week()
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.version() != before
    assert f"The training starts from the networks of version 1 of {example.model}." in done.stderr
    second = machine.decision()
    assert (second["version"], second["champion"], machine.versions(example.model)) == ("2", "1", 2)
    assert second["decision"] in ("champion", "challenger")
    assert "of version 1: " in second["reason"]
    assert f"version 1 of {example.model}" in (machine.project / "reports" / "report.html").read_text()
    compared = ["--reference", "build/reference", "--data", "data/prepared", "--record", "build/drift.json"]
    done = machine.run("components.drift", "--exit-code", *compared)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "not drifted"), done.stderr

    # Damaged data: prepare refuses it, and the registry does not change.
    for path in sorted(path for path in raw.rglob("*") if path.is_file())[::2]:
        path.write_bytes(b"\xff")
    machine.publish()
    done = machine.week()
    assert done.returncode != 0
    assert example.refusal in done.stderr
    assert (machine.decision(), machine.versions(example.model)) == (second, 2)

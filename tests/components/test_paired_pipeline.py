"""The commands of all stages, one after the other, on pairs of images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from recipes import project_parameters, small_parameters

ROOT = Path(__file__).resolve().parents[2]


def stage(folder: Path, name: str, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [sys.executable, "-m", f"components.{name}", "--config", "params.yaml", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_paired_generator_is_trained_scored_and_registered_by_its_target_score(tmp_path: Path) -> None:
    parameters = project_parameters()
    parameters["prepare"] |= {"source": "digits"}
    parameters["prepare"]["image"] |= {"height": 16, "width": 16, "pairs": "inpainting"}
    objective = {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 100.0}
    parameters["train"] = small_parameters(**objective, score_every_images=100, score_samples=60)
    parameters["evaluate"] |= {"samples": 100, "sampling_seeds": 2, "bootstrap_replicates": 5, "metrics": ["fid"]}
    parameters["register"]["score"] = "target_l1"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    model = ("--model", "model")
    stage(tmp_path, "prepare", "--dataset", "data")
    outputs = ("--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png")
    stage(tmp_path, "train", "--dataset", "data", *model, *outputs)
    scored = ("--real", "data", "--generated", "model", "--history", "history.csv", "--champion", "params.yaml")
    stage(tmp_path, "evaluate", *scored, "--scores", "scores.json", "--report", "report.html")
    stage(tmp_path, "register", *model, "--scores", "scores.json", "--registration", "registration.json")
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert 0 < scores["target_l1"] < 127  # in grey levels; most pixels are given
    record = json.loads((tmp_path / "registration.json").read_text())
    assert (record["version"], record["decision"]) == ("1", "champion")
    assert "nan" not in (tmp_path / "history.csv").read_text().splitlines()[-1]  # the last row has scores

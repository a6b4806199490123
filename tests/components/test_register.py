"""The register command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from evaluations import evaluation, generator
from registrations import CONFIG, MARKS

from components import register
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation

ROOT = Path(__file__).resolve().parents[2]

pytestmark = MARKS


def run_command(**changes: object) -> subprocess.CompletedProcess[str]:
    parameters = CONFIG.model_dump() | changes
    Path("params.yaml").write_text(yaml.safe_dump({"register": parameters}))
    command = [sys.executable, "-m", "components.register", "--config", "params.yaml", "--model", "model"]
    command += ["--scores", "scores.json", "--registration", "registration.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_command_writes_the_decision() -> None:
    generator(Path("model"))
    Path("scores.json").write_text(evaluation(100.0, 3.0).model_dump_json())
    done = run_command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "generator version 1: champion. There was no champion.\n"
    record = json.loads(Path("registration.json").read_text())
    assert (record["decision"], record["score"], record["spread"]) == ("champion", 100.0, 3.0)
    again = run_command()
    assert again.stdout == f"nothing new, it was registered before: {done.stdout}"


@pytest.mark.parametrize(
    ("changes", "scores", "sentence"),
    [
        ({"score": "precision_classifier"}, evaluation(1.0, 0.0), "'register.score' must be auto or name a distance"),
        ({"score": "fid"}, evaluation(1.0, 0.0), "must name a score of the evaluation"),
        (
            {},
            evaluation(float("inf"), 0.0),
            "must be finite and within their limits. Received: scores.fd_classifier must",
        ),
        ({}, evaluation(1.0, 0.0, "0" * 32), "The scores must belong to the generator"),
        ({"model_name": "a/b"}, evaluation(1.0, 0.0), "'register.model_name' must be auto, or a name of"),
    ],
)
def test_a_mistake_is_refused_with_one_sentence(changes: dict[str, object], scores: Evaluation, sentence: str) -> None:
    generator(Path("model"))
    Path("scores.json").write_text(json.dumps(scores.model_dump()))  # pydantic would write infinity as null
    done = run_command(**changes)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sentence in done.stderr
    assert "Received: " in done.stderr
    assert not Path("registration.json").exists()


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_scores_that_are_not_a_regular_file_are_not_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    generator(Path("model"))
    options = ["--config", json.dumps(CONFIG.model_dump()), "--model", "model", "--scores", path]
    monkeypatch.setattr(sys, "argv", ["register", *options, "--registration", "registration.json"])
    with pytest.raises(InvalidInput, match="Not a regular file"):
        register.main()


def test_an_unreachable_server_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    generator(Path("model"))
    Path("scores.json").write_text(evaluation(1.0, 0.0).model_dump_json())
    done = run_command()
    assert (done.returncode, done.stderr.count("\n")) == (75, 1), done.stderr
    assert done.stderr.startswith("error: MLflow did not register the generator: ")
    assert not Path("registration.json").exists()

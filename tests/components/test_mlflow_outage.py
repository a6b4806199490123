"""MLflow is unreachable while a step of a pipeline trains. Real commands run, with files in place of Kubeflow's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from recipes import project_parameters, small_parameters
from trackers import NO_SERVER, only_run, pictures

from components.tracking.server import connect
from gan_core.export import read_metadata

ROOT = Path(__file__).resolve().parents[2]
CHANGES: dict[str, dict[str, Any]] = {
    "train": small_parameters(),
    "evaluate": {"extractor": "random", "samples": 90, "sampling_seeds": 1, "metrics": ["fid"]},
    "register": {"score": "fd_random"},
}
OPTIONS = {
    "train": "--dataset data --checkpoints checkpoints --model model --history history --samples samples"
    " --samples-page page --records records",
    "evaluate": "--real data --generated model --history history --records records --scores scores --report report",
    "register": "--model model --scores scores --registration registration",
}


def run(stage: str, **settings: str) -> subprocess.CompletedProcess[str]:
    section = json.dumps(project_parameters()[stage] | CHANGES[stage])
    command = [sys.executable, "-m", f"components.{stage}", "--config", section, *OPTIONS[stage].split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("project")
def test_the_evaluation_delivers_what_mlflow_missed_and_the_version_belongs_to_that_run() -> None:
    write_dataset(Path("data"), blobs(60), blobs(40, seed=1), classes=2)
    unreachable = {"MLFLOW_TRACKING_URI": NO_SERVER, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    trained = run("train", **unreachable)
    assert trained.returncode == 0, trained.stderr
    assert "They are in the output --records, which the evaluation sends." in trained.stderr
    assert read_metadata(Path("model")).tracking_run_id is None
    assert "data:image/png;base64," in Path("page").read_text()

    refused = run("evaluate", **unreachable)
    assert refused.returncode == 75, refused.stderr
    assert "MLflow did not receive" in refused.stderr
    assert not Path("scores").exists()

    for stage in ("evaluate", "register"):
        done = run(stage)
        assert done.returncode == 0, done.stderr
    tracked = only_run()
    rows = Path("history").read_text().splitlines()
    points = connect().get_metric_history(tracked.info.run_id, "losses/generator")
    assert [f"{point.step}" for point in points] == [row.partition(",")[0] for row in rows[1:]]
    assert "scores/fd_random" in tracked.data.metrics
    assert pictures()
    assert "report.html" in [file.path for file in connect().list_artifacts(tracked.info.run_id)]
    record = json.loads(Path("registration").read_text())
    assert (record["decision"], record["run_id"]) == ("champion", tracked.info.run_id)

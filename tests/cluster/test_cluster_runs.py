"""Whole runs on the cluster: the first one, the same again, sound and text, and what they leave in MLflow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from followed_run import (
    FollowedRun,
    compile_pipeline,
    new_seed,
    overrides,
    wait_for_state,
    write_profile,
)
from metadata_store import properties
from mlflow_records import mlflow_records, tags
from pod_security import require_admitted

CACHED = ["resolve: done", *(f"{step}: cached" for step in ("fetch", "prepare", "check", "train", "evaluate"))]
END = ["register: done", "report-status: done"]


def test_the_first_run_succeeds(first_run: FollowedRun) -> None:
    assert first_run.lines[-4:] == ["train: done", "evaluate: done", *END]
    assert f"run {first_run.run_id} ended COMPLETE" in first_run.log_of("report-status")


def test_mlflow_has_the_training_its_scores_and_the_version(first_run: FollowedRun) -> None:
    with mlflow_records() as records:
        (run,) = records.runs(first_run.run_id)
        assert run["info"]["status"] == "FINISHED"
        assert records.figures(run, "losses/generator") == list(range(320, 6401, 320))
        assert "scores/fd_classifier" in {metric["key"] for metric in run["data"]["metrics"]}
        assert records.artifacts(run)
        (version,) = records.versions(first_run.run_id)
    assert version["name"] == "digits-16x16x1"
    assert json.loads(tags(version)["provenance"])["image_digest"] == os.environ["TEST_CLUSTER_IMAGE"].partition("@")[2]


def test_the_metadata_has_what_the_page_shows(first_run: FollowedRun) -> None:
    shown = properties(first_run.run_id)
    assert shown.keys() >= {"model", "history", "samples_page", "records", "scores", "report", "registration"}
    assert float(shown["scores"]["fd_classifier"] or 0) > 0
    assert shown["registration"]["decision"]


def test_pod_security_restricted_admits_every_pod(first_run: FollowedRun) -> None:
    pods = first_run.pods()
    assert len(pods) > 8
    require_admitted(pods)


def test_the_same_again_comes_from_the_cache(first_run: FollowedRun, first_seed: str, start: Any) -> None:
    again = start(first_seed)
    again.succeeded()
    if again.lines != [
        *CACHED,
        *END,
    ]:  # a run that fetched at the same time as the first one has another empty artifact
        again = start(first_seed)
        again.succeeded()
    assert again.lines == [*CACHED, *END]
    assert "Nothing new was registered." in again.log_of("report-status")
    with mlflow_records() as records:
        assert records.runs(again.run_id) == []


def test_kubeflows_own_command_runs_the_compiled_file(
    first_run: FollowedRun, first_seed: str, image: str, tmp_path: Path
) -> None:
    compiled = compile_pipeline("training", image, write_profile(tmp_path), *overrides([first_seed]))
    command = ["kfp", "--endpoint", os.environ["KF_PIPELINES_ENDPOINT"], "--output", "json", "run", "create"]
    command += ["--experiment-name", "Default", "--run-name", "kfp run create", "--package-file", str(compiled)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    wait_for_state(json.loads(answer.stdout[answer.stdout.index("{") :])["run_id"], "SUCCEEDED")


@pytest.mark.parametrize(
    ("preset", "values"),
    [("speech", ["train.steps=60"]), ("names", ["train.steps=30", "evaluate.samples=1000"])],
)
def test_a_pipeline_compiled_for_images_trains_on_sound_and_text(preset: str, values: list[str], start: Any) -> None:
    run = start(new_seed(), *values, options=["--preset", f"presets/{preset}.yaml"])
    run.succeeded()
    with mlflow_records() as records:
        (version,) = records.versions(run.run_id)
    assert version["name"].startswith(f"{preset}-")


def test_a_mistake_found_on_the_cluster_fails_the_run_at_once(start: Any) -> None:
    run = start("prepare.held_out_fraction=0.003")  # 3 held-out images; precision and recall need 6
    assert run.ended() == 1
    assert "check: failed" in run.lines
    assert "2nd try" not in run.output
    assert "exit code 2" in run.output
    assert "train: not run" in run.lines


def test_a_sweep_registers_its_best_trial(start: Any) -> None:
    seed = new_seed()
    trials = ["--trial", f"train.steps=8 {seed}", "--trial", f"train.steps=200 {seed}"]
    run = start(kind="sweep", compiled_with=trials)
    run.succeeded()
    trained = [line for line in run.lines if line.startswith("train")]
    assert sorted(trained) == ["train, trial 1 (steps=8): done", "train, trial 2 (steps=200): done"]
    with mlflow_records() as records:
        assert len(records.runs(run.run_id)) == 2
        assert len(records.versions(run.run_id)) == 1

"""Scores of an evaluation are logged in the MLflow run of the training."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from datasets import blobs
from evaluations import evaluation
from trackers import NO_SERVER, history, only_run, tracker

from components.tracking.scores import TEXTS, log_evaluation
from components.tracking.server import connect
from gan_core.data.manifest import Manifest
from gan_core.evaluation.protocol import ClassScores, Interval
from gan_core.evaluation.report.text_rows import TextPair, TextRows
from gan_core.metric_names import score

pytestmark = pytest.mark.usefixtures("quick")


def test_an_evaluation_is_logged_once_in_the_run_of_its_training(manifest: Manifest, project: Path) -> None:
    with tracker(manifest) as track:
        track.log_row(64, {"loss": 1.0})
    (project / "report.html").write_text("<p>report</p>")
    for report in (None, project / "report.html", project / "report.html"):
        log_evaluation(evaluation(12.5, 0.5, track.run_id), report)
    assert history("scores/fd_classifier") == [(64, 12.5)]
    assert history("scores/spread/kid_classifier") == [(64, 0.005)]
    assert "report.html" in [file.path for file in connect().list_artifacts(track.run_id)]
    assert only_run().info.status == "FINISHED"


def test_generated_texts_are_a_table_that_a_later_evaluation_replaces(manifest: Manifest, project: Path) -> None:
    with tracker(manifest) as track:
        track.log_row(64, {"loss": 1.0})
    for text in ("ANA", "EVA"):
        rows = [TextRows("female", [TextPair(text, "ANNA", 1), TextPair("BO", "BO", 0)])]
        log_evaluation(evaluation(12.5, 0.5, track.run_id), None, rows)
    table = connect().load_table(only_run().info.experiment_id, TEXTS)
    assert list(table.columns) == ["class", "text", "nearest", "edits"]
    assert table.to_numpy().tolist() == [["female", "EVA", "ANNA", 1], ["female", "BO", "BO", 0]]


def test_the_description_of_a_run_shows_score_samples_and_report_unless_a_person_wrote_one(
    manifest: Manifest, project: Path
) -> None:
    with tracker(manifest) as track:
        for step in (0, 64):
            track.log_image(step, "samples", blobs(1, channels=3)[0])
    report = project / "report"  # the name on a cluster
    report.write_text("<p>report</p>")
    scores = evaluation(12.5, 0.5, track.run_id).model_copy(
        update={"intervals": {"fd_classifier": Interval(low=12.0, high=13.0)}}
    )
    log_evaluation(scores, report)
    described = only_run().data.tags["mlflow.note.content"]
    assert described.startswith("**Score** fd_classifier 12.5 ± 0.5, 95 % within 12 to 13 · [report](#/experiments/")
    assert f"{track.run_id}/artifacts/report.html)" in described
    [picture] = re.findall(r"\(get-artifact\?path=(\S+?)&run_uuid=(\w+)\)", described)
    files = [file.path for file in connect().list_artifacts(track.run_id, "images")]
    assert unquote(picture[0]) in [name for name in files if "+step+64+" in name]
    assert picture[1] == track.run_id
    assert "kid_classifier 0.125 ± 0.005" in described
    connect().set_tag(track.run_id, "mlflow.note.content", "The best of May.")
    log_evaluation(scores, report)
    assert only_run().data.tags["mlflow.note.content"] == "The best of May."


def test_mlflow_and_dvc_show_the_same_values_under_matching_names(manifest: Manifest, project: Path) -> None:
    with tracker(manifest) as track:
        pass
    whole = evaluation(12.5, 0.5, track.run_id).model_copy(
        update={
            "standard_errors": {"fd_classifier": 0.25},
            "intervals": {"fd_classifier": Interval(low=12.0, high=13.0)},
            "extractor_accuracy": 0.875,
            "classes": (ClassScores(name="a", real_share=0.5, generated_share=0.25, scores={"fd_classifier": 3.0}),),
        }
    )
    (project / "report.html").touch()
    log_evaluation(whole, project / "report.html")
    (project / "scores.json").write_text(whole.model_dump_json())
    (project / "dvc.yaml").write_text("metrics: [scores.json]\n")
    dvc = [sys.executable, "-m", "dvc"]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "true"}
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], check=True, env=environment)
    shown = subprocess.run([*dvc, "metrics", "show", "--json"], check=True, capture_output=True, env=environment)
    in_dvc = _flat(json.loads(shown.stdout)[""]["data"]["scores.json"]["data"])
    in_mlflow = {name: value for name, value in only_run().data.metrics.items() if not name.startswith("system/")}
    figures = {score(name): value for name, value in in_dvc.items()}
    assert in_mlflow == {name: figures[name] for name in in_mlflow}
    assert set(in_mlflow) == {
        *(f"scores/{part}{name}" for part in ("", "spread/") for name in ("fd_classifier", "kid_classifier")),
        "scores/standard_errors/fd_classifier",
        "scores/intervals/fd_classifier/low",
        "scores/intervals/fd_classifier/high",
        "scores/extractor_accuracy",
    }
    assert not any(name.startswith("classes") for name in in_dvc)


def _flat(entry: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values by dotted name, as DVC prints them."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tracking_run_id": None}, "The generator's training has no MLflow run, so the scores are not in MLflow."),
        (
            {"tracking_run_id": None, "dataset_digest": ""},
            "The generated examples have no MLflow run, so the scores are not in MLflow.",
        ),
        ({"tracking_run_id": "0" * 32}, "The scores are not in MLflow: "),
    ],
)
def test_an_evaluation_that_cannot_be_logged_gives_one_sentence(
    changes: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    log_evaluation(evaluation(12.5, 0.5).model_copy(update=changes), None)
    errors = capsys.readouterr().err
    assert sentence in errors
    assert errors.count("\n") == 1

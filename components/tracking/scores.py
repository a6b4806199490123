"""Logs an evaluation's scores to the MLflow run of the generator's training, one point per score."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.tracking.description import REPORT, describe_run
from components.tracking.failures import answered, explain
from components.tracking.server import connect
from components.tracking.spool import now_milliseconds
from gan_core.errors import TryAgain
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.text_rows import TextRows

TEXTS = "texts.json"
CLASSES_OF_TEXTS = "classes_of_texts.json"


def log_evaluation(
    evaluation: Evaluation, report: Path | None, texts: Sequence[TextRows] = (), *, required: bool = False
) -> None:
    """Logs the scores, and the report and generated texts if there are any, to the run of the generator's training.

    If the scores cannot be logged, one sentence says why; the evaluation fails only if they are `required` and may be
    logged later. Scores of images that no training of this project generated belong to no run.

    Raises:
        TryAgain: the scores are required, and MLflow does not answer.
    """
    run_id = evaluation.tracking_run_id
    if run_id is None:
        evaluated = "The generator's training has" if evaluation.dataset_digest else "The generated examples have"
        _say(f"{evaluated} no MLflow run, so the scores are not in MLflow.")
        return
    try:
        with answered("receive the scores") if required else contextlib.nullcontext():
            _log(run_id, evaluation, report, texts)
    except Exception as error:  # no other failure of the server may fail the evaluation
        if required and isinstance(error, TryAgain):
            raise
        _say(f"The scores are not in MLflow: {explain(error)}")


def _log(run_id: str, evaluation: Evaluation, report: Path | None, texts: Sequence[TextRows]) -> None:
    client = connect()
    from mlflow.entities import RunTag

    tags = [RunTag("protocol", evaluation.protocol.model_dump_json())]
    client.log_batch(run_id, points(client, run_id, evaluation.metrics(), evaluation.images_seen), tags=tags)
    if report:
        client.log_text(run_id, report.read_text(encoding="utf-8"), REPORT)
    tables: dict[str, tuple[Sequence[str], list[list[Any]]]] = {}
    if texts:
        rows = [[one.title, *pair] for one in texts for pair in map(dataclasses.astuple, one.pairs)]
        tables[TEXTS] = ["class", "text", "nearest", "edits"], rows
    if evaluation.texts and evaluation.texts.classes:
        columns = ["class", "score", *evaluation.texts.columns()]
        tables[CLASSES_OF_TEXTS] = columns, list(map(list, evaluation.texts.class_rows()))
    log_tables(client, run_id, tables)
    describe_run(client, run_id, evaluation)


def log_tables(client: Any, run_id: str, tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> None:
    """Logs tables, each as its columns and rows, as artifacts of these names; they replace earlier ones.

    MLflow's page shows the artifacts in the tag as tables. `log_table` would add rows to earlier ones.
    """
    for name, (columns, rows) in tables.items():
        client.log_dict(run_id, {"columns": columns, "data": rows}, name)
    if tables:
        shown = [{"path": name, "type": "table"} for name in tables]
        client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps(shown))


def points(
    client: Any, run_id: str, figures: Mapping[str, float], images_seen: int, model_id: str | None = None
) -> list[Any]:
    """Returns metrics that can be logged repeatedly: MLflow ignores a point with a known time and value.

    Args:
        client: MLflow's client.
        run_id: the run to which they will be logged; a point that it already has keeps its time.
        figures: values by name.
        images_seen: the points' step.
        model_id: the logged model to which the values belong; None if there is none.
    """
    from mlflow.entities import Metric

    known, now = client.get_run(run_id).data.metrics, now_milliseconds()
    metrics = []
    for name, value in figures.items():
        recorded = client.get_metric_history(run_id, name) if name in known else []
        times = [point.timestamp for point in recorded if point.step == images_seen and _equal(point.value, value)]
        metrics.append(Metric(name, value, min(times, default=now), images_seen, model_id=model_id))
    return metrics


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _say(message: str) -> None:
    print(message, file=sys.stderr)

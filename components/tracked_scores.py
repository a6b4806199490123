"""Logs an evaluation's scores to the MLflow run of the generator's training."""

from __future__ import annotations

import sys
from pathlib import Path

from components.mlflow_server import connect, explain
from components.spool import now_milliseconds
from gan_core.evaluation.protocol import Evaluation


def log_evaluation(evaluation: Evaluation, report: Path) -> None:
    """Writes the figures and the report into the run of the generator's training.

    Never fails the evaluation: without a run, or a server that answers, one sentence says that MLflow has no scores.
    """
    from mlflow.entities import Metric, RunTag

    run_id = evaluation.tracking_run_id
    if run_id is None:
        _say("The generator's training has no MLflow run, so the scores are not in MLflow.")
        return
    try:
        client = connect()
        known = client.get_run(run_id).data.metrics
        now = now_milliseconds()
        client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, now, evaluation.images_seen)
                for name, value in evaluation.figures().items()
                if known.get(name) != value
            ],
            tags=[RunTag("protocol", evaluation.protocol.model_dump_json())],
        )
        client.log_artifact(run_id, str(report))
    except Exception as error:  # whatever the server does, the evaluation is done
        _say(f"The scores are not in MLflow: {explain(error)}")


def _say(message: str) -> None:
    print(message, file=sys.stderr)

"""Describes a training's run and a registered version on MLflow's pages: score, report, samples."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from gan_core.evaluation.protocol import Evaluation

REPORT = "report.html"
NOTE = "mlflow.note.content"
_START = "**Score** "  # the beginning tells our descriptions from those that a person wrote


def describe_run(client: Any, run_id: str, evaluation: Evaluation) -> None:
    """Describes the run of the scored generator's training, unless a person has already described it."""
    note = client.get_run(run_id).data.tags.get(NOTE, "")
    if not note or note.startswith(_START):
        client.set_tag(run_id, NOTE, describe(client, run_id, evaluation, next(iter(evaluation.scores))))


def describe(client: Any, run_id: str, evaluation: Evaluation, score: str) -> str:
    """Returns Markdown: a score with its interval, a link to the report, the samples, the other scores.

    MLflow folds a description after a few lines, so the score and the top of the samples come first.

    Args:
        client: MLflow's client.
        run_id: the run with the report and the samples. Each is left out if it is missing.
        evaluation: the generator's evaluation.
        score: the name of the first score.
    """
    experiment = client.get_run(run_id).info.experiment_id
    first = _START + score_text(evaluation, score)
    if any(file.path == REPORT for file in client.list_artifacts(run_id)):
        first += f" · [report](#/experiments/{experiment}/runs/{run_id}/artifacts/{REPORT})"
    parts = [first]
    for file in client.list_artifacts(run_id, "images"):
        path = PurePosixPath(file.path)
        if path.suffix == ".png" and f"+step+{evaluation.images_seen}+" in path.name:
            parts.append(f"![samples](get-artifact?{urlencode({'path': file.path, 'run_uuid': run_id})})")
    parts += [score_text(evaluation, name) for name in evaluation.scores if name != score]
    return "\n\n".join(parts)


def score_text(evaluation: Evaluation, name: str) -> str:
    """Returns `fid 10.2 ± 0.5, 95 % within 9 to 11`: the score, its spread over the seeds, and its interval if any."""
    interval = evaluation.intervals.get(name)
    within = f", 95 % within {interval.low:.4g} to {interval.high:.4g}" if interval else ""
    return f"{name} {evaluation.scores[name]:.4g} ± {evaluation.spread[name]:.2g}{within}"

"""Metrics of old runs are copied to their current names, in a real MLflow database."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from components.rename_metrics import main, rename_metrics
from components.tracking.runs import experiment_id
from components.tracking.server import connect

OLD_TO_NEW = {
    "generator_loss": "losses/generator",
    "real_logits": "logits/real",
    "generator_weight_norm": "norms/generator_weights",
    "diversity": "guards/diversity",
    "images_per_second": "system/examples_per_second",
    "fd_classifier": "scores/quick_fd_classifier",
    "scores.fd_classifier": "scores/fd_classifier",
    "spread.fd_classifier": "scores/spread/fd_classifier",
    "intervals.fd_classifier.low": "scores/intervals/fd_classifier/low",
    "extractor_accuracy": "scores/extractor_accuracy",
}


@pytest.fixture
def old_run(project: Path) -> str:
    """A run with the metric names of an earlier version. Its score is logged for the run and for the logged model."""
    from mlflow.entities import Metric

    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    points = [Metric(name, number, 1000 + step, step) for number, name in enumerate(OLD_TO_NEW) for step in (64, 128)]
    points += [Metric("discriminator_loss", math.nan, 1000, 64), Metric("system/cpu", 1, 1000, 0)]
    points += [Metric("a_name_of_somebody_else", 1, 1000, 0)]
    client.log_batch(run_id, points)
    model = client.create_logged_model(experiment, "generator", run_id)
    client.log_batch(run_id, [Metric("scores.fd_classifier", 6, 9000, 128, model_id=model.model_id)])
    client.finalize_logged_model(model.model_id, "READY")
    return str(run_id)


def points(run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in connect().get_metric_history(run_id, name)]


def test_every_point_is_copied_to_its_new_name_once(old_run: str) -> None:
    client = connect()
    assert rename_metrics(client) == (1, 2 * len(OLD_TO_NEW) + 1)
    for number, new in enumerate(OLD_TO_NEW.values()):
        assert sorted(points(old_run, new)) == [(64, number), (128, number)], new
    [(step, value)] = points(old_run, "losses/discriminator")
    assert step == 64
    assert math.isnan(value)
    [model] = client.search_logged_models([experiment_id(client)])
    assert {metric.key: metric.value for metric in model.metrics}["scores/fd_classifier"] == 6
    sections = {name.split("/")[0] for name in client.get_run(old_run).data.metrics if "/" in name}
    assert sections == {"losses", "logits", "norms", "guards", "scores", "system"}
    assert rename_metrics(client) == (0, 0)


def test_the_command_says_what_it_did(
    old_run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rename_metrics"])
    for expected in ("Copied 21 points of 1 runs to the new names.\n", "All runs have the new names.\n"):
        main()
        assert capsys.readouterr().out == expected

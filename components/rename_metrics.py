"""Copies metrics with an earlier version's names to their current names (gan_core/metric_names.py).

It copies every point with its step and time, in the experiment that MLflow's environment variables name. The old
metrics stay, because MLflow cannot delete metrics. A second run of the command copies nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from components.tracking.failures import answered
from components.tracking.runs import experiment_id, pages
from components.tracking.server import connect
from gan_core.exit_codes import run
from gan_core.metric_names import current

_METRICS_IN_A_BATCH = 1000  # MLflow's limit


def main() -> None:
    """Reads the command line and copies."""
    argparse.ArgumentParser(prog="python -m components.rename_metrics", description=__doc__).parse_args()
    with answered("copy the metrics"):  # copied points stay, and the same command continues from there
        runs, points = rename_metrics(connect())
    print(f"Copied {points} points of {runs} runs to the new names." if points else "All runs have the new names.")


def rename_metrics(client: Any) -> tuple[int, int]:
    """Copies the points that are missing under their new names; returns the numbers of runs and of points copied."""
    experiment = experiment_id(client)
    of_models: dict[str, list[Any]] = {}
    for model in pages(client.search_logged_models, experiment_ids=[experiment]):
        for metric in model.metrics or ():
            of_models.setdefault(metric.run_id, []).append(metric)
    runs = points = 0
    for tracked in pages(client.search_runs, experiment_ids=[experiment]):
        run_id = tracked.info.run_id
        copies = list(_copies(client, run_id, tracked.data.metrics, of_models.get(run_id, [])))
        for start in range(0, len(copies), _METRICS_IN_A_BATCH):
            client.log_batch(run_id, copies[start : start + _METRICS_IN_A_BATCH])
        runs, points = runs + bool(copies), points + len(copies)
    return runs, points


def _copies(client: Any, run_id: str, names: dict[str, float], of_models: list[Any]) -> Iterator[Any]:
    """The points of a run and of its logged models that are missing under their new names."""
    from mlflow.entities import Metric

    known = {(metric.model_id, metric.key, metric.step) for metric in of_models}
    for metric in of_models:
        new = current(metric.key)
        if new != metric.key and (metric.model_id, new, metric.step) not in known:
            yield Metric(new, metric.value, metric.timestamp, metric.step, model_id=metric.model_id)
    for name in names:
        if (new := current(name)) == name:
            continue
        points = [*client.get_metric_history(run_id, new), *(metric for metric in of_models if metric.key == name)]
        there = {_point(point) for point in points}
        for point in client.get_metric_history(run_id, name):
            if _point(point) not in there:
                there.add(_point(point))
                yield Metric(new, point.value, point.timestamp, point.step)


def _point(metric: Any) -> tuple[int, str]:
    """Returns step and value, not the time: earlier versions logged a score again when the generator was registered."""
    return metric.step, repr(metric.value)


if __name__ == "__main__":
    run(main)

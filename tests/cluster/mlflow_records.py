"""Reads from the cluster's MLflow server what a Kubeflow run recorded in it."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from followed_run import LONG_FIGURES
from kubectl import port_forward

HOST = "localhost:5000"  # the name under which the server accepts requests through a port-forward


class Records:
    """The records in an MLflow server at a local port."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/2.0/mlflow/"

    def runs(self, kubeflow_run: str) -> list[dict[str, Any]]:
        """Returns the MLflow runs of a Kubeflow run."""
        found = self._ask("experiments/get-by-name", experiment_name="gan-pipeline")
        asked = {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "filter": f"tags.kfp_run_id = '{kubeflow_run}'",
        }
        return self._ask("runs/search", body=asked).get("runs", [])

    def figures(self, run: dict[str, Any], metric: str) -> list[int]:
        """Returns the steps (images seen) at which a run has a value of a metric, in order and with repetitions."""
        return sorted(int(one["step"]) for one in self._history(run, metric))

    def values(self, run: dict[str, Any], metric: str) -> list[float]:
        """Returns a metric's values by step."""
        return [one["value"] for one in sorted(self._history(run, metric), key=lambda one: int(one["step"]))]

    def _history(self, run: dict[str, Any], metric: str) -> list[dict[str, Any]]:
        asked = {"run_id": run["info"]["run_id"], "metric_key": metric, "max_results": "10000"}
        found: list[dict[str, Any]] = self._ask("metrics/get-history", **asked).get("metrics", [])
        return found

    def require_one_whole_training(self, *kubeflow_runs: str, figures: Sequence[int] = tuple(LONG_FIGURES)) -> None:
        """Checks that the Kubeflow runs have one finished MLflow run, with each figure of its training once."""
        (tracked,) = [run for kubeflow_run in kubeflow_runs for run in self.runs(kubeflow_run)]
        assert tracked["info"]["status"] == "FINISHED"
        assert self.figures(tracked, "losses/generator") == list(figures)

    def artifacts(self, run: dict[str, Any], folder: str = "") -> list[str]:
        """Returns the paths of a run's artifacts in a folder."""
        asked = {"run_id": run["info"]["run_id"], "path": folder}
        return [one["path"] for one in self._ask("artifacts/list", **asked).get("files", [])]

    def versions(self, kubeflow_run: str) -> list[dict[str, Any]]:
        """Returns the model versions that a Kubeflow run registered."""
        asked = {"filter": f"tags.kfp_run_id = '{kubeflow_run}'", "max_results": "100"}
        return self._ask("model-versions/search", **asked).get("model_versions", [])

    def _ask(self, endpoint: str, /, body: dict[str, Any] | None = None, **query: str) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._address}{endpoint}?{urllib.parse.urlencode(query)}")
        request.add_header("Host", HOST)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def mlflow_records() -> Iterator[Records]:
    """Yields the server's records, through a port-forward of its own."""
    with port_forward("mlflow", 5000, "mlflow") as port:
        yield Records(port)


def tags(run: dict[str, Any]) -> dict[str, str]:
    """Returns the tags of a run or version."""
    listed = run["data"]["tags"] if "data" in run else run.get("tags", [])
    return {tag["key"]: tag["value"] for tag in listed}

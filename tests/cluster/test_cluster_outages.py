"""MLflow or Kubeflow's API server is away, a network policy hides MLflow, or the namespace's quota is full."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from followed_run import LONG, LONG_FIGURES, LONGER, LONGER_FIGURES, new_seed
from kubectl import kubectl, scale, wait_for
from mlflow_records import mlflow_records

QUOTA = "gan-cluster-test"
POLICY = "allow-pipeline-steps-to-server"  # of infra/mlflow/network-policy.yaml; without it, no step reaches the server


@pytest.fixture(autouse=True)
def _all_is_back() -> Iterator[None]:
    yield
    scale("mlflow", 1, "mlflow")
    scale("ml-pipeline", 1)
    kubectl("delete", "resourcequota", QUOTA, "--ignore-not-found")


def test_mlflow_is_away_while_training_and_while_registering(start: Any) -> None:
    run = start(new_seed(), *LONG)
    run.unfinished_pod("train", "train: ")
    scale("mlflow", 0, "mlflow")
    wait_for("the end of the training", lambda: "train: done" in run.lines, 300)
    scale("mlflow", 1, "mlflow")
    wait_for("the end of the evaluation", lambda: "evaluate: done" in run.lines, 300)
    scale("mlflow", 0, "mlflow")
    run.unfinished_pod("register")
    wait_for("a second try", lambda: len(run.pods("register")) > 1, 300)
    scale("mlflow", 1, "mlflow")
    run.succeeded()
    assert any(line.startswith("register: done, ") for line in run.lines)
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)
        assert len(records.versions(run.run_id)) == 1


@contextlib.contextmanager
def mlflow_hidden() -> Iterator[None]:
    """Takes away the network policy that lets the steps reach MLflow, and brings it back."""
    policy = json.loads(kubectl("get", "networkpolicy", POLICY, "--output", "json", namespace="mlflow"))
    policy["metadata"] = {key: policy["metadata"].get(key, {}) for key in ("name", "labels")}
    kubectl("delete", "networkpolicy", POLICY, namespace="mlflow")
    try:
        yield
    finally:
        kubectl("create", "--filename", "-", namespace="mlflow", given=json.dumps(policy))


def test_what_a_network_policy_hid_from_mlflow_is_sent_later(start: Any) -> None:
    run = start(new_seed(), *LONG)
    run.unfinished_pod("train", "train: ")
    with mlflow_hidden():
        wait_for("the end of the training", lambda: "train: done" in run.lines, 300)
        with mlflow_records() as records:
            (tracked,) = records.runs(run.run_id)
            if records.figures(tracked, "losses/generator") == LONG_FIGURES:
                pytest.skip("this cluster accepts network policies and does not enforce them")
    run.succeeded()
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)


def test_a_full_quota_and_an_api_server_that_is_away_delay_a_run(start: Any) -> None:
    run = start(new_seed(), *LONGER)  # so that no driver begins while the server is away: it would fail without it
    wait_for("the first step", lambda: "resolve: done" in run.lines, 300)
    kubectl("create", "quota", QUOTA, "--hard=pods=0")
    wait_for("the reason", lambda: f"is forbidden: exceeded quota: {QUOTA}" in run.output, 300)
    kubectl("delete", "resourcequota", QUOTA)
    run.unfinished_pod("train", "train: ")
    scale("ml-pipeline", 0)
    time.sleep(25)
    scale("ml-pipeline", 1)
    # After its server was replaced, Kubeflow's agent was once seen to get 404 for every report until it started again.
    kubectl("rollout", "restart", "deployment/ml-pipeline-persistenceagent")
    run.succeeded()
    assert any(line.startswith("train: done") for line in run.lines)  # tried again if it ended without the server
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id, figures=LONGER_FIGURES)

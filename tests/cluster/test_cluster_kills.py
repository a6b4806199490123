"""Pods that are deleted at once, as when a node is lost. test_cluster_checkpoints.py deletes those of trainings."""

from __future__ import annotations

from typing import Any

from followed_run import delete_pod, new_seed
from mlflow_records import mlflow_records


def test_a_run_whose_driver_is_deleted_ends_and_the_next_one_goes_on(start: Any) -> None:
    """Argo starts a deleted driver again. Kubeflow then knows the step twice if the first one had begun its work."""
    seed = new_seed()
    run = start(seed)
    delete_pod(run.unfinished_pod("train-driver"))
    if run.ended():
        assert "failed to get executions in DAG" in run.output
        assert "two tasks have the same task name" in run.output
    again = start(seed)
    again.succeeded()
    assert "train: cached" in again.lines


def test_a_registration_whose_pod_is_deleted_registers_one_version(start: Any) -> None:
    run = start(new_seed())
    delete_pod(run.unfinished_pod("register"))
    run.succeeded()
    with mlflow_records() as records:
        assert len(records.versions(run.run_id)) == 1

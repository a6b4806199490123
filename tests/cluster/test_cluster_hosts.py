"""Trainings on two hosts, as TrainJobs of Kubeflow Trainer."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_bucket import Bucket
from followed_run import LONG, RESUMES, FollowedRun, delete_pod, new_seed
from kubectl import NAMESPACE, kubectl, pods, wait_for
from mlflow_records import mlflow_records
from pod_security import require_admitted
from storage_emulator import BUCKET

HOSTS = {"train": {"hosts": 2, "memory_request": "600Mi"}}
TWENTY = ("train.steps=20", "train.log_every_images=32")


@pytest.fixture(autouse=True)
def _trainer_is_installed() -> None:
    answer = kubectl("get", "crd", "trainjobs.trainer.kubeflow.org", "--ignore-not-found", "--output", "name")
    if not answer or not kubectl("get", "trainingruntime", "gan-training", "--ignore-not-found", "--output", "name"):
        pytest.skip("the cluster must have Kubeflow Trainer and infra/k8s/components/trainer")


def trainjobs(run: FollowedRun) -> list[str]:
    listed = kubectl("get", "trainjobs", "-l", f"gan-pipeline/kubeflow-run={run.run_id}", "--output", "name")
    return [line.rpartition("/")[2] for line in listed.split()]


def pod_of_host(run: FollowedRun, index: int, line: str = "", other_than: str = "") -> str:
    """Waits for the running pod of a host whose log has `line`; returns its name."""

    def look() -> str | None:
        for job in trainjobs(run):
            selector = f"jobset.sigs.k8s.io/jobset-name={job},batch.kubernetes.io/job-completion-index={index}"
            found = kubectl(
                *("get", "pods", "-l", selector, "--field-selector=status.phase=Running", "--output", "name")
            ).split()
            for name in (one.rpartition("/")[2] for one in found):
                if name != other_than and (not line or line in kubectl("logs", name, "-c", "node")):
                    return name
        return None

    return wait_for(f"host {index} of {run.run_id}", look, 600)


def test_two_hosts_give_the_figures_of_one(start: Any) -> None:
    seed = new_seed()
    # The interval of the grids changes no weight, but the key of the checkpoints: neither run continues the other.
    one = start(seed, *TWENTY, "train.samples_every_images=320")
    one.succeeded()
    two = start(seed, *TWENTY, "train.samples_every_images=640", **HOSTS)
    two.succeeded()
    assert "train: done" in two.lines
    of_hosts = pods(f"jobset.sigs.k8s.io/jobset-name={trainjobs(two)[0]}")
    assert len(of_hosts) == 2
    require_admitted(of_hosts)
    with mlflow_records() as records:
        ours, theirs = (
            {
                name: records.values(records.runs(run.run_id)[0], name)
                for name in ("losses/generator", "losses/discriminator")
            }
            for run in (one, two)
        )
        assert len(records.versions(two.run_id)) == 1
    for name, values in ours.items():
        assert len(values) == 20
        assert values == pytest.approx(theirs[name], rel=1e-5)


def test_a_lost_host_and_a_lost_step_change_nothing(start: Any) -> None:
    run = start(new_seed(), *LONG, **HOSTS)
    chief = pod_of_host(run, 0, "train: ")
    delete_pod(pod_of_host(run, 1))
    pod_of_host(run, 0, RESUMES, other_than=chief)
    delete_pod(run.unfinished_pod("train"))
    run.succeeded()
    assert "of an earlier try is followed" in run.log_of("train")
    assert len(trainjobs(run)) == 1
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)


def test_hosts_resume_from_a_bucket(bucket: Bucket, start: Any) -> None:
    place = {"checkpoints": f"gs://{BUCKET}/checkpoints", "checkpoints_claim": None}
    run = start(new_seed(), *LONG, **HOSTS, environment=bucket.environment, **place)
    chief = pod_of_host(run, 0, "train: ")
    delete_pod(pod_of_host(run, 1))
    pod_of_host(run, 0, RESUMES, other_than=chief)
    run.succeeded()
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)


def test_a_trainjob_that_is_deleted_by_hand_is_created_again(start: Any) -> None:
    run = start(new_seed(), *LONG, **HOSTS)
    pod_of_host(run, 0, "train: ")
    kubectl("delete", "trainjob", *trainjobs(run))
    run.succeeded()
    assert RESUMES in run.log_of("train")
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)


def test_a_cancelled_run_leaves_no_trainjob(start: Any) -> None:
    run = start(new_seed(), *LONG, **HOSTS)
    pod_of_host(run, 0, "train: ")
    run.cancel()
    assert run.ended() == 1
    wait_for("the end of the TrainJob", lambda: not trainjobs(run), 120)
    assert "Deleted: TrainJob gan-" in run.log_of("report-status")


def test_the_hosts_may_not_create_trainjobs() -> None:
    def may(verb: str, account: str) -> str:
        who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        return kubectl("auth", "can-i", verb, "trainjobs.trainer.kubeflow.org", who, allowed=(0, 1))

    assert may("create", "gan-training").startswith("yes")
    assert may("create", "gan-training-host").startswith("no")
    assert may("get", "gan-training-host").startswith("no")

"""Pods that cannot start, need too much, or are cancelled; and Pod Security."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from followed_run import LONG, FollowedRun, new_seed
from kubectl import kubectl

RESTRICTED = "gan-cluster-test"


def test_a_cancelled_run_is_reported_as_cancelled(start: Any) -> None:
    run = start(new_seed(), *LONG)
    run.unfinished_pod("train", "train: ")
    run.cancel()
    assert run.ended() == 1
    assert f"{run.run_id} CANCELED" in run.output
    assert "train: cancelled" in run.lines
    assert f"run {run.run_id} was cancelled" in run.log_of("report-status")


def test_a_training_without_enough_memory_names_the_reason(start: Any) -> None:
    run = start(new_seed(), train={"memory_request": "100Mi", "memory_limit": "250Mi", "retries": 1})
    assert run.ended() == 1
    assert "train: failed, 2nd try" in run.lines
    assert "train failed: out of memory (OOMKilled)" in run.output


def test_a_step_without_a_node_is_named_and_the_following_ends_in_time(start: Any) -> None:
    run = start(new_seed(), train={"cpu_request": "640", "cpu_limit": "640"}, options=["--timeout", "360"])
    assert run.ended() == 75
    assert "train waits. Unschedulable: 0/" in run.output


def test_an_image_that_does_not_exist_is_named(start: Any, image: str) -> None:
    absent = image.partition("@")[0] + "@sha256:" + "0" * 64
    run = start(new_seed(), image=absent, options=["--timeout", "360"])
    assert run.ended() == 75
    assert "resolve waits. ErrImagePull: " in run.output or "resolve waits. ImagePullBackOff: " in run.output


@pytest.fixture
def restricted_namespace() -> Iterator[str]:
    kubectl("create", "namespace", RESTRICTED)
    kubectl("label", "namespace", RESTRICTED, "pod-security.kubernetes.io/enforce=restricted")
    yield RESTRICTED
    kubectl("delete", "namespace", RESTRICTED)


def test_pod_security_restricted_admits_every_pod(first_run: FollowedRun, restricted_namespace: str) -> None:
    pods = first_run.pods()
    assert len(pods) > 8
    for pod in pods:
        spec = {key: value for key, value in pod["spec"].items() if key not in ("nodeName", "serviceAccountName")}
        for key in ("serviceAccount", "priority", "preemptionPolicy"):
            spec.pop(key, None)
        spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith("kube-api-access-")]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            container["volumeMounts"] = [
                mount for mount in container["volumeMounts"] if not mount["name"].startswith("kube-api-access-")
            ]
        copied = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod["metadata"]["name"], "namespace": restricted_namespace},
            "spec": spec,
        }
        kubectl("create", "--dry-run=server", "-f", "-", namespace=restricted_namespace, given=json.dumps(copied))

"""Raw and prepared data on a volume that the steps mount."""

from __future__ import annotations

import json
from typing import Any

import pytest
from followed_run import new_seed
from kubectl import kubectl
from pod_security import require_admitted

CLAIM = "gan-data"


@pytest.fixture(autouse=True)
def _claim_is_there() -> None:
    if not kubectl("get", "persistentvolumeclaim", CLAIM, "--ignore-not-found", "--output", "name"):
        pytest.skip("the cluster must have infra/k8s/components/data, with a volume that the steps can write")


def prune(image: str) -> str:
    """Removes all data from the volume, as docs/kubeflow.md says; returns what the command printed."""
    container = {
        "name": "prune",
        "image": image,
        "command": ["python", "-m", "components.prune", "--data", "/data", "--days", "0"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}
    overrides = json.dumps({"spec": {"containers": [container], "volumes": [volume]}})
    options = ["--rm", "--stdin", "--restart=Never", f"--image={image}", f"--overrides={overrides}"]
    return kubectl("run", "gan-data-prune", *options)


def test_steps_share_data_on_a_volume_and_deleted_data_are_made_again(
    start: Any, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = new_seed().replace("train.", "prepare.")  # a split that no earlier session left
    first = start(new_seed(), data, data_claim=CLAIM)
    first.succeeded()
    require_admitted(first.pods())

    assert "/data/prepared-" in prune(image)
    seed = new_seed()
    without = start(seed, data, data_claim=CLAIM)
    assert without.ended() == 1
    assert {"prepare: cached", "train: failed"} <= set(without.lines)
    assert "The data must still be on the volume." in without.output

    monkeypatch.setenv("KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT", "true")
    again = start(new_seed(), data, data_claim=CLAIM)
    again.succeeded()
    assert "prepare: done" in again.lines

    monkeypatch.delenv("KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT")
    cached = start(seed, data, data_claim=CLAIM)
    cached.succeeded()
    assert {"prepare: cached", "train: done"} <= set(cached.lines)

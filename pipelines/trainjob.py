"""The TrainJob of a profile with several hosts, as far as it is known when the pipeline is compiled.

Kubeflow Trainer (`trainer.kubeflow.org/v1alpha1`, seen with 2.3) fills it into the TrainingRuntime of
infra/k8s/components/trainer. components.train_on_hosts adds its name, owner and command.
"""

from __future__ import annotations

from typing import Any

from pipelines.profile import DATA_FOLDER, SPOT_LABEL, Profile

RUNTIME = "gan-training"
"""Name of the TrainingRuntime; its replicated job and its container are named `node`, as Trainer requires."""
_SHARED_MEMORY = "shared-memory"


def trainjob(profile: Profile, image: str) -> dict[str, Any]:
    """Returns the manifest, without `metadata.name`. Every host has the resources, nodes and secrets of `train`."""
    train = profile.train
    requests = {"cpu": train.cpu_request, "memory": train.memory_request}
    limits = {"cpu": train.cpu_limit, "memory": train.memory_limit}
    if train.accelerator:
        limits[train.accelerator.resource] = str(train.accelerator.count)
    pod = _placed(profile)
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"labels": {"kueue.x-k8s.io/queue-name": train.queue} if train.queue else {}},
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": RUNTIME},
            "activeDeadlineSeconds": train.timeout_seconds,
            "trainer": {
                "image": image,
                "numNodes": train.hosts,
                "resourcesPerNode": {"requests": requests, "limits": limits},
                "env": _environment(profile, image),
            },
            "runtimePatches": [
                {
                    "manager": "gan-pipeline/profile",
                    "trainingRuntimeSpec": {
                        "template": {
                            "spec": {
                                "replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": pod}}}}]
                            }
                        }
                    },
                }
            ],
        },
    }


def _environment(profile: Profile, image: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in profile.environment.items()]
    if "@" in image:
        found.append({"name": "IMAGE_DIGEST", "value": image.partition("@")[2]})
    for secret in profile.secrets:
        if "train" in secret.steps:
            for key, variable in secret.variables.items():
                reference = {"name": secret.name, "key": key, "optional": secret.optional}
                found.append({"name": variable, "valueFrom": {"secretKeyRef": reference}})
    return found


def _placed(profile: Profile) -> dict[str, Any]:
    """Returns what the hosts' pods have in addition to the TrainingRuntime: nodes and volumes."""
    train = profile.train
    selector, tolerations = dict(train.node_selector), [one.model_dump() for one in train.tolerations]
    if train.spot:
        selector[SPOT_LABEL] = "true"
        tolerations.append({"key": SPOT_LABEL, "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, str]] = []
    if train.shared_memory:
        volumes.append({"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": train.shared_memory}})
        mounts.append({"name": _SHARED_MEMORY, "mountPath": "/dev/shm"})  # noqa: S108
    for name, claim, folder in (
        ("checkpoints", profile.checkpoints_claim, profile.checkpoints),
        ("data", profile.data_claim, DATA_FOLDER),
    ):
        if claim is not None:
            volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim}})
            mounts.append({"name": name, "mountPath": folder})
    return {
        "nodeSelector": selector,
        "tolerations": tolerations,
        "volumes": volumes,
        "containers": [{"name": "node", "volumeMounts": mounts}],
    }

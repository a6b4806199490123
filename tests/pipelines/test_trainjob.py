"""A profile with several hosts trains by a TrainJob, and nothing else of its pipeline changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import TrainerV1alpha1TrainingRuntime
from test_golden import IMAGE
from test_profile import changed, golden

from gan_core.errors import InvalidInput
from pipelines.__main__ import main
from pipelines.profile import DATA_FOLDER, Profile
from pipelines.trainjob import RUNTIME, trainjob

ROOT = Path(__file__).resolve().parents[2]


def job_of(tmp_path: Path, profile: str, **changes: Any) -> dict[str, Any]:
    return trainjob(Profile.read(changed(tmp_path, profile, train__hosts=4, **changes)), IMAGE)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    (patch,) = job["spec"]["runtimePatches"]
    assert patch["manager"] == "gan-pipeline/profile"  # Trainer's webhook wants a domain and a path
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("profile", ["cpu", "gpu", "gpu-spot", "small"])
def test_trainers_schema_has_every_key(profile: str, tmp_path: Path) -> None:
    checkpoints = {"checkpoints": "gs://bucket/c"} if profile == "gpu-spot" else {}
    job = job_of(tmp_path, profile, train__queue="gan", **checkpoints)
    job["metadata"]["name"] = "gan-1"
    assert without_defaults(TrainerV1alpha1TrainJob.from_dict(job).to_dict(), job) == job


def test_trainers_schema_has_every_key_of_the_runtime() -> None:
    runtime = yaml.safe_load((ROOT / "infra/k8s/components/trainer/runtime.yaml").read_text())
    assert runtime["metadata"]["name"] == RUNTIME
    assert without_defaults(TrainerV1alpha1TrainingRuntime.from_dict(runtime).to_dict(), runtime) == runtime


def without_defaults(parsed: Any, given: Any) -> Any:
    """Returns what the schema kept of `given`, without the defaults that it added."""
    if isinstance(given, dict):
        return {key: without_defaults(parsed[key], given[key]) for key in given if key in parsed}
    if isinstance(given, list):
        return [without_defaults(*both) for both in zip(parsed, given, strict=True)]
    return parsed


def test_each_host_has_the_resources_variables_and_nodes_of_the_profile(tmp_path: Path) -> None:
    secret = {"name": "keys", "variables": {"a": "KEY_A"}, "steps": ["train"], "optional": True}
    job = job_of(tmp_path, "gpu-spot", checkpoints="gs://bucket/c", secrets=[secret], train__shared_memory="1Gi")
    trainer, pod = job["spec"]["trainer"], pod_of(job)
    assert (trainer["image"], trainer["numNodes"]) == (IMAGE, 4)
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "IMAGE_DIGEST", "value": IMAGE.partition("@")[2]} in trainer["env"]
    reference = {"name": "keys", "key": "a", "optional": True}
    assert {"name": "KEY_A", "valueFrom": {"secretKeyRef": reference}} in trainer["env"]
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert {one["key"] for one in pod["tolerations"]} >= {"cloud.google.com/gke-spot"}
    assert pod["volumes"] == [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "shared-memory", "mountPath": "/dev/shm"}]


def test_the_hosts_mount_the_claim_of_the_checkpoints(tmp_path: Path) -> None:
    pod = pod_of(job_of(tmp_path, "small"))
    assert {"name": "checkpoints", "persistentVolumeClaim": {"claimName": "gan-checkpoints"}} in pod["volumes"]
    assert {"name": "checkpoints", "mountPath": "/tmp/checkpoints"} in pod["containers"][0]["volumeMounts"]


def test_the_hosts_mount_the_claim_of_the_data_where_the_steps_do(tmp_path: Path) -> None:
    pod = pod_of(job_of(tmp_path, "gpu-spot", checkpoints="gs://bucket/c", sweep_parallelism=1, data_claim="gan-data"))
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "gan-data"}} in pod["volumes"]
    assert {"name": "data", "mountPath": DATA_FOLDER} in pod["containers"][0]["volumeMounts"]


def test_a_queue_admits_the_job_only_if_the_profile_names_one(tmp_path: Path) -> None:
    assert job_of(tmp_path, "small", train__queue="gan")["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gan"}
    assert job_of(tmp_path, "small")["metadata"]["labels"] == {}


def test_only_the_training_changes_in_the_pipeline(tmp_path: Path) -> None:
    profile = changed(tmp_path, "cpu", train__hosts=2)
    output = tmp_path / "pipeline.yaml"
    command = ["compile", "training", "--profile", str(profile), "--image", IMAGE, "--output", str(output)]
    main([*command, "--params", str(ROOT / "params.yaml")])
    pipeline, platform = yaml.safe_load_all(output.read_text())
    before, platform_before = golden("training-cpu")
    train, executor = pipeline["components"]["comp-train"], pipeline["deploymentSpec"]["executors"]["exec-train"]
    assert executor["container"]["command"] == ["python", "-m", "components.train_on_hosts"]
    assert (
        executor["container"]["resources"]["memoryLimit"]
        == before["deploymentSpec"]["executors"]["exec-check"]["container"]["resources"]["memoryLimit"]
    )
    reports = [one["deploymentSpec"]["executors"]["exec-report-status"]["container"] for one in (pipeline, before)]
    assert reports[0].pop("args") == [*reports[1].pop("args"), "--delete-trainjobs"]
    assert train["inputDefinitions"]["parameters"].pop("job") == {"parameterType": "STRUCT"}
    assert train == before["components"]["comp-train"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-train"] == platform_before["deploymentSpec"]["executors"]["exec-train"]
    for one in (pipeline, before):
        del one["deploymentSpec"]["executors"]["exec-train"], one["sdkVersion"]
        one["root"]["dag"]["tasks"]["exit-handler-1"] = None
        stages = one["components"]["comp-exit-handler-1"]["dag"]["tasks"]
        stages["train"]["inputs"]["parameters"].pop("job", None)
    assert pipeline == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__hosts": 0}, "train.hosts"),
        ({"light__hosts": 2}, "light.hosts: Extra inputs"),
        ({"train__queue": "gan"}, r"queue is for a TrainJob, which has several hosts\. Received: queue=gan, hosts=1"),
        (
            {"train__hosts": 2, "checkpoints_claim": None},
            r"must keep their checkpoints in gs:// or on a claim .* Received: hosts=2, checkpoints=/tmp/checkpoints",
        ),
    ],
)
def test_profiles_whose_hosts_cannot_train_together_are_refused(tmp_path, changes, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Profile.read(changed(tmp_path, "gpu", **changes))

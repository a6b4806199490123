"""Wrong profiles are refused, and each key of a profile has its effect on the pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.storage.volume import VARIABLE
from gan_core.errors import InvalidInput
from pipelines.__main__ import main
from pipelines.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "registry.example.com/gan-pipeline@sha256:" + "0" * 64
SHIPPED = sorted((ROOT / "infra" / "profiles").glob("*.yaml"))


def changed(tmp_path: Path, name: str, **changes: Any) -> Path:
    shared = yaml.safe_load((ROOT / f"infra/profiles/{name}.yaml").read_text())
    values = json.loads(json.dumps(shared))  # sections that are aliases of each other become two
    for key, value in changes.items():
        *parents, last = key.split("__")
        target = values
        for parent in parents:
            target = target[parent]
        target[last] = value
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_there_are_four_profiles() -> None:
    assert sorted(Profile.read(path).name for path in SHIPPED) == ["cpu", "gpu", "gpu-spot", "small"]


def test_the_steps_fit_a_node_with_2_processors_and_4_gib_and_differ_from_cpu_in_nothing_else() -> None:
    small, cpu = (Profile.read(ROOT / f"infra/profiles/{name}.yaml") for name in ("small", "cpu"))
    sized = ("light", "prepare", "train", "evaluate")
    for step in sized:
        resources = getattr(small, step)
        assert resources.cpu_request.endswith("m")
        assert int(resources.cpu_request[:-1]) <= 200
        assert resources.cpu_limit == "2"
        assert resources.memory_request in ("256Mi", "512Mi", "1Gi")
        assert resources.memory_limit in ("2Gi", "4Gi")
    assert small.model_dump(exclude={"name", *sized}) == cpu.model_dump(exclude={"name", *sized})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__gpus": 2}, "train.gpus: Extra inputs"),
        ({"namespace": "x"}, "namespace: Extra inputs"),
        ({"train__memory_limit": "16 GB"}, "train.memory_limit"),
        ({"train__memory_limit": "500Mi"}, "memory_limit must not be below memory_request. Received: 500Mi, below "),
        ({"light__cpu_limit": "0"}, "cpu_limit must not be below cpu_request. Received: 0, below "),
        ({"train__timeout_seconds": 0}, "train.timeout_seconds"),
        ({"checkpoints": "checkpoints"}, "checkpoints"),
        ({"checkpoints_claim": "a b"}, "checkpoints_claim"),
        ({"checkpoints": "gs://bucket/c"}, r"A claim is mounted at a folder\. Received: checkpoints=gs://bucket/c"),
        (
            {"sweep_parallelism": 2},
            r"with checkpoints_claim sweep_parallelism must be 1\. Received: sweep_parallelism=2",
        ),
        (
            {"data_claim": "gan-checkpoints"},
            r"mounts a claim only once in a pod\. Received: data_claim=gan-checkpoints",
        ),
        ({"environment": {"mlflow-uri": "x"}}, "environment"),
        ({"environment": {"MLFLOW_TRACKING_PASSWORD": "x"}}, "take secrets from Kubernetes"),
        *(
            ({"environment": {name: "x"}}, "take secrets from Kubernetes")
            for name in ("RUN_STATUS_WEBHOOK_URL", "DB_AUTH", "GITHUB_PAT", "APIKEY", "MY_PASS", "SESSION_COOKIE")
        ),
        *(
            ({"checkpoints": address}, "gs://bucket/folder")
            for address in ("gs://", "gs:///x", "gs://bucket?x=1", "gs://b/\n")
        ),
        ({"environment": {"MLFLOW_TRACKING_URI": "http://a:b@c"}}, "take secrets from Kubernetes.*TRACKING_URI"),
        ({"secrets": [{"name": "a", "variables": {}, "steps": ["trian"], "optional": True}]}, "secrets.0.steps"),
        ({"train__accelerator": {"resource": "nvidia.com/gpu", "count": 0}}, "train.accelerator.count"),
    ],
)
def test_the_error_for_a_wrong_profile_names_the_key(tmp_path, changes, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Profile.read(changed(tmp_path, "gpu", **changes))


@pytest.mark.parametrize("claim", [None, "gan-checkpoints"])
def test_spot_training_must_keep_its_checkpoints_outside_the_node(tmp_path, claim) -> None:
    changes = {"checkpoints": "/tmp/checkpoints", "checkpoints_claim": claim, "sweep_parallelism": 1}
    with pytest.raises(InvalidInput, match="must keep its checkpoints in gs://"):
        Profile.read(changed(tmp_path, "gpu-spot", **changes))


def test_a_profile_without_a_claim_may_sweep_in_parallel(tmp_path) -> None:
    profile = Profile.read(changed(tmp_path, "cpu", checkpoints_claim=None, sweep_parallelism=2))
    assert (profile.checkpoints_claim, profile.sweep_parallelism) == (None, 2)


def test_steps_on_several_nodes_cannot_share_the_claim_of_the_data(tmp_path) -> None:
    with pytest.raises(InvalidInput, match=r"with data_claim sweep_parallelism must be 1\. Received: sweep_p.*=2"):
        Profile.read(changed(tmp_path, "gpu-spot", data_claim="gan-data"))


def test_the_path_of_a_credentials_file_is_accepted(tmp_path) -> None:
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": "/var/run/secrets/key.json"}
    assert Profile.read(changed(tmp_path, "gpu", environment=environment)).environment == environment


@pytest.mark.parametrize("text", ["[", "- a", "a: b", "name: a\nname: b"])
def test_an_invalid_profile_is_refused(tmp_path, text) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="profile"):
        Profile.read(tmp_path / "p.yaml")


def golden(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    pipeline, platform = yaml.safe_load_all((ROOT / f"tests/golden/{name}.yaml").read_text())
    return pipeline, platform["platforms"]["kubernetes"]


def test_every_step_of_every_profile_has_a_pinned_image_and_limits_and_is_not_root() -> None:
    for path in sorted((ROOT / "tests" / "golden").glob("*.yaml")):
        pipeline, platform = golden(path.stem)
        executors = pipeline["deploymentSpec"]["executors"]
        assert set(executors) == set(platform["deploymentSpec"]["executors"])
        for name, executor in executors.items():
            container, pod = executor["container"], platform["deploymentSpec"]["executors"][name]
            assert "@sha256:" in container["image"]
            assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(container["resources"])
            assert pod["securityContext"] == {"runAsNonRoot": True}
            assert int(pod["activeDeadlineSeconds"]) > 0
            assert container["command"][:2] == ["python", "-m"]


def test_only_the_training_uses_spot_nodes_and_only_gpu_steps_use_gpus() -> None:
    pipeline, platform = golden("training-gpu-spot")
    pods = platform["deploymentSpec"]["executors"]
    spot = [name for name, pod in pods.items() if "cloud.google.com/gke-spot" in str(pod)]
    executors = pipeline["deploymentSpec"]["executors"]
    gpu = [name for name, executor in executors.items() if "accelerator" in executor["container"]["resources"]]
    assert spot == ["exec-train"]
    assert sorted(gpu) == ["exec-evaluate", "exec-train"]
    assert pods["exec-train"]["emptyDirMounts"][0]["mountPath"] == "/dev/shm"


def test_the_steps_with_data_mount_its_claim_and_nothing_else_changes(tmp_path) -> None:
    main(
        [
            *("compile", "training", "--image", IMAGE, "--params", str(ROOT / "params.yaml")),
            *("--profile", str(changed(tmp_path, "cpu", data_claim="gan-data"))),
            *("--output", str(tmp_path / "compiled.yaml")),
        ]
    )
    pipeline, platform = yaml.safe_load_all((tmp_path / "compiled.yaml").read_text())
    found = []
    for name, pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        container = pipeline["deploymentSpec"]["executors"][name]["container"]
        mounted = {one["constant"]: one["mountPath"] for one in pod.pop("pvcMount", [])}
        if path := mounted.pop("gan-data", None):
            found.append(name.removeprefix("exec-"))
            container["env"].remove({"name": VARIABLE, "value": path})
        assert list(mounted) == (["gan-checkpoints"] if name == "exec-train" else [])
    assert sorted(found) == ["check", "evaluate", "fetch", "prepare", "train"]
    expected = golden("training-cpu")
    del expected[1]["deploymentSpec"]["executors"]["exec-train"]["pvcMount"]
    assert {**pipeline, "sdkVersion": ""} == {**expected[0], "sdkVersion": ""}
    assert platform["platforms"]["kubernetes"] == expected[1]


def test_deleted_data_are_made_again_by_a_pipeline_without_the_cache(tmp_path) -> None:
    output = tmp_path / "compiled.yaml"
    command = [sys.executable, "-m", "pipelines", "compile", "training", "--image", IMAGE, "--output", str(output)]
    environment = os.environ | {"KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT": "true"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert "enableCache" not in output.read_text()


@pytest.mark.parametrize(("name", "claims"), [("training-cpu", 1), ("training-gpu", 1), ("sweep-gpu-spot", 0)])
def test_only_the_training_mounts_the_claim_and_at_its_checkpoints(name: str, claims: int) -> None:
    pipeline, platform = golden(name)
    mounts = {
        step: pod["pvcMount"] for step, pod in platform["deploymentSpec"]["executors"].items() if "pvcMount" in pod
    }
    assert list(mounts) == ["exec-train"] * claims
    for mount in mounts.values():
        (train,) = (task for key, task in tasks(pipeline).items() if key == "train")
        path = train["inputs"]["parameters"]["checkpoints"]["runtimeValue"]["constant"]
        assert [(one["mountPath"], one["constant"]) for one in mount] == [(path, "gan-checkpoints")]


def test_only_the_last_step_gets_the_webhook() -> None:
    _, platform = golden("training-cpu")
    with_secrets = [name for name, pod in platform["deploymentSpec"]["executors"].items() if "secretAsEnv" in pod]
    assert with_secrets == ["exec-report-status"]


def tasks(node: Any) -> dict[str, Any]:
    """Returns all tasks of a compiled pipeline by name, at any depth."""
    found: dict[str, Any] = {}
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "tasks":
                found |= value
            found |= tasks(value)
    return found


@pytest.mark.parametrize("name", ["training-cpu", "sweep-gpu-spot"])
def test_every_step_is_retried_and_only_steps_without_outside_effects_are_cached(name) -> None:
    pipeline, _ = golden(name)
    steps = {key: task for key, task in tasks(pipeline).items() if not key.startswith(("exit-handler", "for-loop"))}
    retried = {key for key, task in steps.items() if "retryPolicy" in task}
    cached = {key for key, task in steps.items() if task["cachingOptions"].get("enableCache")}
    assert retried == set(steps)
    assert cached == set(steps) - {"resolve", "register", "report-status"}

"""Every object of every overlay matches Kubernetes' schemas and the project's policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from manifests import INFRA, ROOT, Objects, kubectl

OVERLAYS = [("local",), ("gke",), ("gke", "gpu-spot"), ("local", "trainer"), ("local", "data")]
CUSTOM = {"ExternalSecret", "InferenceService", "SecretStore", "ServingRuntime", "TrainingRuntime"}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


@pytest.fixture(params=OVERLAYS, ids="+".join)
def objects(request: pytest.FixtureRequest, render: Callable[..., Objects]) -> Objects:
    return render(*request.param)


def pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields name and specification of every pod that the objects create."""
    for item in objects:
        name, kind = f"{item['kind']}/{item['metadata']['name']}", item["kind"]
        if kind in ("Deployment", "StatefulSet"):
            yield name, item["spec"]["template"]["spec"]
        elif kind == "CronJob":
            yield name, item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif kind == "InferenceService":
            predictor = item["spec"]["predictor"]
            runtime = one(objects, "ServingRuntime", predictor["model"]["runtime"])["spec"]
            container = {
                **runtime["containers"][0],
                **{k: v for k, v in predictor["model"].items() if k == "resources"},
            }
            yield name, {**runtime, **predictor, "containers": [container]}


def one(objects: Objects, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    (found,) = [
        item
        for item in objects
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
        and namespace in (None, item["metadata"].get("namespace"))
    ]
    return found


def named(objects: Objects, kind: str) -> Objects:
    return [item for item in objects if item["kind"] == kind]


def test_kubernetes_accepts_every_object_but_the_named_custom_resources(objects: Objects) -> None:
    custom = {item["kind"] for item in objects if item["kind"] in CUSTOM}
    for item in objects:
        if item["kind"] not in custom:
            kubernetes_validate.validate(item, "1.37", strict=True)
    assert len(objects) > 20


def test_every_setting_is_filled_in(objects: Objects) -> None:
    assert "filled in" not in yaml.safe_dump_all(objects)


def test_every_pod_is_restricted(objects: Objects) -> None:
    found = dict(pods(objects))
    assert len(found) >= 3
    for name, pod in found.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
        assert kinds <= {"emptyDir", "persistentVolumeClaim"}, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["runAsNonRoot"] is True, name
            assert context["runAsUser"] > 0, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert "privileged" not in context, name


def test_every_container_has_requests_and_limits(objects: Objects) -> None:
    for name, pod in pods(objects):
        for container in pod["containers"]:
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][bound].keys(), name


def test_every_image_is_named_by_digest(objects: Objects) -> None:
    for name, pod in pods(objects):
        for container in pod["containers"]:
            assert re.fullmatch(r"[a-z0-9./:-]+@sha256:[0-9a-f]{64}", container["image"]), name
            assert ":latest" not in container["image"], name


@pytest.mark.parametrize("overlay", ["local", "gke"])
def test_no_digest_is_committed(overlay: str) -> None:
    """The base names images without a tag; the settings of a cluster must add the digest, or the pull fails."""
    text = kubectl("kustomize", INFRA / "k8s" / "overlays" / overlay)
    images = {c["image"] for _, pod in pods(list(yaml.safe_load_all(text))) for c in pod["containers"]}
    assert images
    assert all(image.endswith("@sha256:" + "0" * 64) for image in images), images
    bases = yaml.safe_load_all(kubectl("kustomize", INFRA / "mlflow"))
    assert {c["image"] for _, pod in pods(list(bases)) for c in pod["containers"]} == {"mlflow"}


def test_no_secret_is_in_the_manifests(objects: Objects, render: Callable[..., Objects]) -> None:
    assert not named(objects, "Secret")
    expected = {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for _, pod in pods(objects)
        for container in pod["containers"]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    external = {
        (item["spec"]["target"]["name"], entry["secretKey"])
        for item in named(objects, "ExternalSecret")
        for entry in item["spec"]["data"]
    }
    by_hand = {("mlflow-database", "uri"), ("mlflow-database", "password")}  # docs/infra.md creates these on kind
    assert expected == (external or by_hand)


def test_our_namespaces_have_pod_security_quotas_limits_and_a_default_denial(objects: Objects) -> None:
    namespaces = {item["metadata"]["name"]: item["metadata"]["labels"] for item in named(objects, "Namespace")}
    assert namespaces.keys() <= {"mlflow", "gan-serving"}
    assert {item["metadata"].get("namespace") for item in objects} - {None} == {*namespaces, "kubeflow"}
    for namespace, labels in namespaces.items():
        assert RESTRICTED.items() <= labels.items()
        one(objects, "ResourceQuota", namespace, namespace)
        one(objects, "LimitRange", namespace, namespace)
        denial = one(objects, "NetworkPolicy", "default-deny", namespace)["spec"]
        assert denial == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_rights_are_listed_one_by_one(objects: Objects) -> None:
    assert not named(objects, "ClusterRole")
    assert not named(objects, "ClusterRoleBinding")
    for role in named(objects, "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"]
                assert rule["verbs"] == ["get"]
    roles = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in named(objects, "Role")}
    assert {(b["metadata"]["namespace"], b["roleRef"]["name"]) for b in named(objects, "RoleBinding")} == roles


def test_only_the_overlay_for_google_has_google_identities(render: Callable[..., Objects]) -> None:
    key = "iam.gke.io/gcp-service-account"

    def annotated(overlay: str) -> set[str]:
        accounts = named(render(overlay), "ServiceAccount")
        return {item["metadata"]["name"] for item in accounts if key in item["metadata"].get("annotations", {})}

    assert annotated("local") == set()
    assert annotated("gke") == {"gan-training", "gan-predictor", "mlflow", "mlflow-secrets"}


def test_the_hosts_of_a_training_are_restricted_and_have_no_rights(render: Callable[..., Objects]) -> None:
    objects = render("local", "trainer")
    (node,) = one(objects, "TrainingRuntime", "gan-training")["spec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 65532)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    account = one(objects, "ServiceAccount", pod["serviceAccountName"], "kubeflow")["metadata"]["name"]
    bound = {subject["name"] for binding in named(objects, "RoleBinding") for subject in binding["subjects"]}
    assert account not in bound


def test_the_champion_can_run_on_the_gpu_spot_pool(render: Callable[..., Objects]) -> None:
    predictor = one(render("gke", "gpu-spot"), "InferenceService", "champion")["spec"]["predictor"]
    gpu_type = re.search(r'gpu_type += "(.*)"', (INFRA / "terraform/prod.tfvars").read_text())
    assert gpu_type
    assert predictor["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": gpu_type[1],
        "cloud.google.com/gke-spot": "true",
    }
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in predictor["tolerations"]
    assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nodeSelector" not in one(render("gke"), "InferenceService", "champion")["spec"]["predictor"]


@pytest.mark.parametrize("profile", sorted((INFRA / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_profiles_fit_the_cluster(profile: Path, render: Callable[..., Objects]) -> None:
    """The profiles' service account, MLflow address and GPU exist in the cluster."""
    values, objects = yaml.safe_load(profile.read_text()), render("gke")
    one(objects, "ServiceAccount", values["service_account"], "kubeflow")
    (server,) = one(objects, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    hosts = next(argument for argument in server["args"] if argument.startswith("--allowed-hosts="))
    assert values["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://") in hosts.partition("=")[2].split(",")
    selector = values["train"].get("node_selector", {})
    for variables in (INFRA / "terraform").glob("*.tfvars"):
        gpu_type = re.search(r'gpu_type += "(.*)"', variables.read_text())
        assert gpu_type
        assert selector.get("cloud.google.com/gke-accelerator", gpu_type[1]) == gpu_type[1]


def test_a_step_gets_exactly_the_retries_that_it_requests(tmp_path: Path) -> None:
    """The patch replaces only KFP's default; Argo merges each template over it, key by key."""
    shipped = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": "kubeflow"},
        "data": {
            "executor": "imagePullPolicy: IfNotPresent\n",
            "workflowDefaults": yaml.safe_dump(
                {"spec": {"templateDefaults": {"retryStrategy": {"limit": "2", "retryPolicy": "OnError"}}}}
            ),
        },
    }
    original = tmp_path / "shipped.yaml"
    original.write_text(yaml.safe_dump(shipped))
    patch = INFRA / "argo" / "retry-patch.yaml"
    command = ("patch", "--local", "--filename", original, "--type", "merge", "--patch-file", patch, "--output", "yaml")
    data = yaml.safe_load(kubectl(*command))["data"]
    assert data["executor"] == shipped["data"]["executor"]
    default = yaml.safe_load(data["workflowDefaults"])["spec"]["templateDefaults"]["retryStrategy"]
    requested = {"limit": "3", "backoff": {"duration": "60", "factor": "2"}}  # the compiled form of set_retry
    expression = default.pop("expression")
    assert {**default, **requested} == {**requested, "retryPolicy": "Always"}
    assert default["limit"] == "0"
    [pattern] = re.findall(r'^not \(lastRetry\.message matches "(.+)"\)$', expression)
    for message, retried in {
        "main: Error (exit code 1): exit code 2: The parameter must be positive.": False,
        "main: Error (exit code 1): exit code 1: RuntimeError: a bug": False,
        "main: Error (exit code 1): exit code 75: MLflow does not answer.": True,
        "main: Error (exit code 1)": True,
        "main: OOMKilled (exit code 137)": True,
        "pod deleted": True,
    }.items():
        assert (re.search(pattern, message) is None) == retried


def test_the_requeue_patch_adds_one_variable(tmp_path: Path) -> None:
    kept = {"name": "LEADER_ELECTION_IDENTITY", "value": "pod"}
    container = {"name": "workflow-controller", "image": "argo", "env": [kept]}
    labels = {"app": "workflow-controller"}
    shipped = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "workflow-controller", "namespace": "kubeflow"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    original = tmp_path / "shipped.yaml"
    original.write_text(yaml.safe_dump(shipped))
    patch = INFRA / "argo" / "requeue-patch.yaml"
    command = ("patch", "--local", "--filename", original, "--patch-file", patch, "--output", "yaml")
    patched = yaml.safe_load(kubectl(*command))
    added = {"name": "DEFAULT_REQUEUE_TIME", "value": "2s"}
    (found,) = patched["spec"]["template"]["spec"]["containers"]
    assert sorted(found.pop("env"), key=lambda one: one["name"]) == [added, kept]
    assert found == {"name": "workflow-controller", "image": "argo"}


def test_the_patched_storage_initializer_is_restricted() -> None:
    patch = yaml.safe_load((INFRA / "k8s/patches/storage-initializer.yaml").read_text())
    assert patch["spec"]["container"]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_every_manifest_belongs_to_a_kustomization() -> None:
    for path in (*(INFRA / "k8s").rglob("*.yaml"), *(INFRA / "mlflow").glob("*.yaml")):
        if path.name != "kustomization.yaml" and path.parent.name != "patches":
            listed = yaml.safe_load((path.parent / "kustomization.yaml").read_text())["resources"]
            assert path.name in listed, path.relative_to(ROOT)

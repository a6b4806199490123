"""Creates, follows and deletes a TrainJob, with the rights of the pod's own account."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.errors import InvalidInput, TryAgain
from gan_core.printing import printable

RUN_LABEL = "gan-pipeline/kubeflow-run"
"""The label of a TrainJob that names the Kubeflow run whose step created it."""
_GROUP = ("trainer.kubeflow.org", "v1alpha1")
_KIND = "trainjobs"
_POD_VARIABLE = "KFP_POD_NAME"  # Kubeflow sets it; the host's name is cut off after 63 characters
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECONDS = 30  # for one request
_CREATED, _ABSENT, _CONFLICT = 201, 404, 409


@dataclass(frozen=True)
class Host:
    """A host's newest pod.

    Attributes:
        waits: why the pod does not start, if that is known; else empty.
        exit_code: None while it has not ended.
    """

    index: int
    pod: str
    waits: str
    exit_code: int | None


class Cluster:
    """Kubernetes' API, as the account of this pod may use it in its own namespace.

    Raises:
        InvalidInput: this process is not in a pod of a Kubernetes cluster.
    """

    def __init__(self) -> None:
        import kubernetes

        try:
            kubernetes.config.load_incluster_config()
            self.namespace = _NAMESPACE.read_text(encoding="utf-8").strip()
        except (kubernetes.config.ConfigException, OSError) as error:
            reason = str(error).removesuffix(".")
            raise InvalidInput(f"TrainJobs need a pod of a Kubernetes cluster. Received: {reason}") from None
        self.core = kubernetes.client.CoreV1Api()
        self._objects = kubernetes.client.CustomObjectsApi()

    def trainjobs(self, verb: str, *what: Any, absent_if: int = 0, **options: Any) -> Any:
        """Sends a request about TrainJobs; returns None if Kubernetes answers with the status `absent_if`.

        Raises:
            InvalidInput: the account or the cluster does not allow it.
            TryAgain: Kubernetes does not answer.
        """
        request = getattr(self._objects, f"{verb}_namespaced_custom_object")
        return self.call(request, *_GROUP, self.namespace, _KIND, *what, absent_if=absent_if, **options)

    def call(self, request: Any, *arguments: Any, absent_if: int = 0, **options: Any) -> Any:
        """Sends any request; returns and raises as `trainjobs`."""
        import kubernetes

        try:
            return request(*arguments, **options, _request_timeout=_SECONDS)
        except kubernetes.client.ApiException as error:
            if error.status == absent_if:
                return None
            if error.status in (400, 401, 403, _ABSENT, 405, 422):
                raise InvalidInput(
                    "The cluster must have Kubeflow Trainer 2.2 or newer, and the step's account the rights of "
                    f"infra/k8s/components/trainer. Received: {printable(f'{error.status} {error.body}')}"
                ) from None
            raise TryAgain(f"Kubernetes answers {error.status} ({printable(str(error.reason))}).") from None
        except (OSError, kubernetes.client.rest.urllib3.exceptions.HTTPError) as error:
            raise TryAgain(f"Kubernetes does not answer: {printable(str(error))}") from None


def trainjobs_of(run_id: str) -> list[TrainJob]:
    """Returns the TrainJobs of a Kubeflow run.

    Raises:
        InvalidInput, TryAgain: as `Cluster`.
    """
    cluster = Cluster()
    listed = cluster.trainjobs("list", label_selector=f"{RUN_LABEL}={run_id}")
    return [TrainJob(found["metadata"]["name"], cluster) for found in listed["items"]]


class TrainJob:
    """A TrainJob of the cluster, which may not exist yet."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name, self._cluster = name, cluster

    def ensure(self, manifest: dict[str, Any], run_id: str) -> bool:
        """Creates the TrainJob for a Kubeflow run, or finds the one that an earlier try of the step created.

        One that failed is deleted first. Returns whether there was one.

        Raises:
            InvalidInput: there is one of another run, or the account or the cluster does not allow TrainJobs.
            TryAgain: Kubernetes does not answer, or still deletes the earlier one.
        """
        found = self.read()
        if found is not None and condition(found, "Failed"):
            self.delete()
            found = self.read()
        if found is None:
            owner = self._owner()
            labels = manifest["metadata"].get("labels", {}) | {RUN_LABEL: run_id}
            metadata = {"name": self.name, "labels": labels, "ownerReferences": [owner] if owner else []}
            if self._cluster.trainjobs("create", manifest | {"metadata": metadata}, absent_if=_CONFLICT) is not None:
                return False
            found = self.read() or {}
        metadata = found.get("metadata", {})
        if metadata.get("labels", {}).get(RUN_LABEL) != run_id:
            raise InvalidInput(
                f"The TrainJob must be of this Kubeflow run, {run_id}. Received: {self.name} of "
                f"{metadata.get('labels', {}).get(RUN_LABEL)!r}"
            )
        if "deletionTimestamp" in metadata:
            raise TryAgain(f"The earlier TrainJob {self.name} is still being deleted.")
        return True

    def read(self) -> dict[str, Any] | None:
        """Returns the TrainJob; None if there is none.

        Raises:
            InvalidInput, TryAgain: as `ensure`.
        """
        found: dict[str, Any] | None = self._cluster.trainjobs("get", self.name, absent_if=_ABSENT)
        return found

    def delete(self) -> None:
        """Deletes the TrainJob and its pods, if it exists.

        Raises:
            InvalidInput, TryAgain: as `ensure`.
        """
        self._cluster.trainjobs("delete", self.name, absent_if=_ABSENT, propagation_policy="Foreground")

    def hosts(self) -> list[Host]:
        """Returns the hosts that have a pod, by index.

        Raises:
            InvalidInput, TryAgain: as `ensure`.
        """
        selector = f"jobset.sigs.k8s.io/jobset-name={self.name}"
        listed = self._cluster.call(
            self._cluster.core.list_namespaced_pod, self._cluster.namespace, label_selector=selector
        )
        newest: dict[int, Any] = {}
        for pod in sorted(listed.items, key=lambda pod: pod.metadata.creation_timestamp):
            newest[int(pod.metadata.labels["batch.kubernetes.io/job-completion-index"])] = pod
        return [_host(index, pod) for index, pod in sorted(newest.items())]

    def log(self, pod: str) -> str:
        """Returns what the pod has written so far; empty if it has not started or is gone."""
        import kubernetes

        try:
            text: str = self._cluster.core.read_namespaced_pod_log(
                pod, self._cluster.namespace, container="node", _request_timeout=_SECONDS
            )
        except (kubernetes.client.ApiException, OSError, kubernetes.client.rest.urllib3.exceptions.HTTPError):
            return ""
        return text

    def _owner(self) -> dict[str, Any] | None:
        """Returns a reference to the Argo workflow that owns this pod, so that the TrainJob goes with it."""
        name, namespace = os.environ[_POD_VARIABLE], self._cluster.namespace
        pod = self._cluster.call(self._cluster.core.read_namespaced_pod, name, namespace)
        for one in pod.metadata.owner_references or []:
            if one.kind == "Workflow":
                return {"apiVersion": one.api_version, "kind": one.kind, "name": one.name, "uid": one.uid}
        return None


def condition(found: dict[str, Any], kind: str) -> str | None:
    """Returns the message of a TrainJob's condition, such as Complete or Failed; None if it is not in it."""
    for one in found.get("status", {}).get("conditions", []):
        if one["type"] == kind and one["status"] == "True":
            return printable(f"{one.get('reason', '')}: {one.get('message', '')}")
    return None


def _host(index: int, pod: Any) -> Host:
    exit_code, waits = None, ""
    for container in pod.status.container_statuses or []:
        if container.state.terminated:
            exit_code = container.state.terminated.exit_code
        elif container.state.waiting and container.state.waiting.reason not in (None, "ContainerCreating"):
            waits = f"{container.state.waiting.reason}: {container.state.waiting.message or ''}"
    for one in pod.status.conditions or []:
        if one.type == "PodScheduled" and one.status == "False":
            waits = f"{one.reason}: {one.message}"
    return Host(index, pod.metadata.name, printable(waits), exit_code)

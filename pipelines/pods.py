"""Reads from its pod why a step waits or failed, because Kubeflow's API does not say it. Needs a kubeconfig."""

from __future__ import annotations

import os
import re
from typing import Any

from gan_core.printing import printable

SECONDS = 5  # for one request to Kubernetes
_ANNOTATION = "workflows.argoproj.io/node-name"
_LAUNCHER = re.compile(r"[IWEF]\d{4} |(Error: )?exit status \d+$|time=")  # lines of Kubeflow's launcher and of Argo
_DRIVER = re.compile(r"F\d{4} .*\] KFP driver: .*?\) failed: (.*)")  # why a step's driver failed


class Pods:
    """The pods of a run in `namespace`; empty without a kubeconfig, or if its cluster does not have the run."""

    def __init__(self, namespace: str, run_id: str) -> None:
        self.namespace, self.label = namespace, f"pipeline/runid={run_id}"

    def of(self, node: str) -> list[Any]:
        """Returns the pods of a node's driver and tries, newest last; all pods if `node` is empty."""
        pods = self._ask("CoreV1Api", "list_namespaced_pod", self.namespace, label_selector=self.label)
        found = [
            pod
            for pod in (pods.items if pods else [])
            if _is_of(node, (pod.metadata.annotations or {}).get(_ANNOTATION, ""))
        ]
        return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)

    def message(self, node: str) -> str:
        """Returns what Argo says last about a node that has no pod, because a quota is full or the pod was deleted."""
        place = ("argoproj.io", "v1alpha1", self.namespace, "workflows")
        listed = self._ask("CustomObjectsApi", "list_namespaced_custom_object", *place, label_selector=self.label)
        nodes = [
            found
            for workflow in (listed or {}).get("items", [])
            for found in workflow.get("status", {}).get("nodes", {}).values()
            if found.get("type") == "Pod" and found.get("message") and _is_of(node, found["name"])
        ]
        return _sentence(None, max(nodes, key=lambda found: found.get("startedAt") or "")["message"]) if nodes else ""

    def why_waiting(self, pod: Any) -> str:
        """Returns why a pod does not run, such as `Unschedulable: 0/1 nodes are available: …`; empty if it runs.

        A pod whose volume cannot be mounted has no reason of its own, only events.
        """
        waits = False
        for container in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
            waiting = container.state.waiting
            if waiting and waiting.reason not in (None, "PodInitializing", "ContainerCreating"):
                return _sentence(waiting.reason, waiting.message)
            waits = waits or waiting is not None
        for condition in pod.status.conditions or []:
            if condition.type == "PodScheduled" and condition.status == "False":
                return _sentence(condition.reason, condition.message)
        return self._warning(pod.metadata.name) if waits else ""

    def _warning(self, name: str) -> str:
        """Returns the last warning among the events of the pod `name`; empty if there is none."""
        selector = f"involvedObject.name={name},type=Warning"
        listed = self._ask("CoreV1Api", "list_namespaced_event", self.namespace, field_selector=selector)
        warnings = sorted(listed.items if listed else [], key=lambda event: str(event.last_timestamp or ""))
        return _sentence(warnings[-1].reason, warnings[-1].message) if warnings else ""

    def last_sentence(self, pod: Any) -> str:
        """Returns the last line that the step itself or its driver wrote to its log; empty if there is none."""
        place = (pod.metadata.name, self.namespace)
        log = self._ask("CoreV1Api", "read_namespaced_pod_log", *place, container="main", tail_lines=50)
        written = (log or "").splitlines()
        if failed := [found[1] for line in written if (found := _DRIVER.match(line))]:
            return printable(failed[-1])
        lines = [line.strip() for line in written if line.strip() and not _LAUNCHER.match(line)]
        errors = [line for line in lines if line.startswith("error: ")]
        return printable((errors or lines or [""])[-1])

    def describe_command(self) -> str:
        """Returns the command that shows what Kubernetes says about all pods of the run."""
        return f"kubectl -n {self.namespace} describe pods -l {self.label}"

    def log_command(self, pod: Any) -> str:
        """Returns the command that shows a pod's whole log."""
        return f"kubectl -n {self.namespace} logs {pod.metadata.name} -c main"

    def _ask(self, api: str, request: str, *place: str, **options: Any) -> Any:
        import kubernetes

        try:
            configuration = kubernetes.client.Configuration()
            configuration.retries = False
            # The client itself reads the variable only when it is imported.
            file = os.environ.get("KUBECONFIG") or "~/.kube/config"
            client = kubernetes.config.new_client_from_config(file, client_configuration=configuration)
            ask = getattr(getattr(kubernetes.client, api)(client), request)
            return ask(*place, **options, _request_timeout=SECONDS)
        except Exception:  # whatever a kubeconfig or its cluster causes: the run is followed without it
            return None


def _is_of(node: str, name: str) -> bool:
    return not node or re.match(re.escape(node) + r"($|\(|-driver\()", name) is not None


def why_failed(pod: Any) -> str:
    """Returns why a pod failed: evicted, out of time, out of memory, or the exit code or last sentence of its step."""
    if pod.status.reason:
        return _sentence(pod.status.reason, pod.status.message)
    for container in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        ended = container.state.terminated
        if ended and ended.reason == "OOMKilled":
            return "out of memory (OOMKilled): the profile's memory_limit is too small for this step"
        if ended and ended.exit_code and container.name != "wait":
            # A step writes its exit code and its last sentence to the message, because the launcher replaces the code.
            return _sentence(None, ended.message) if ended.message else f"exit code {ended.exit_code}"
    return ""


def _sentence(reason: str | None, message: str | None) -> str:
    return printable(": ".join(" ".join(part.split()) for part in (reason, message) if part))

"""Runs kubectl against the cluster under test."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

NAMESPACE = "kubeflow"
_RAW = {"_preload_content": False, "_request_timeout": 60}
NODE_NAME = "workflows.argoproj.io/node-name"  # the annotation with which Argo names a pod's node


def kubectl(
    *arguments: str, namespace: str = NAMESPACE, given: str | None = None, allowed: Sequence[int] = (0,)
) -> str:
    """Returns what kubectl prints; it must end with one of the exit codes `allowed`."""
    command = ["kubectl", "--namespace", namespace, *arguments]
    answer = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode in allowed, f"{' '.join(command)}: {answer.stderr}"
    return answer.stdout


def pods(selector: str) -> list[dict[str, Any]]:
    """Returns the pods with these labels. Not by kubectl, because the tests ask often."""
    answer = _core().list_namespaced_pod(
        NAMESPACE, label_selector=selector, _preload_content=False, _request_timeout=60
    )
    return json.loads(answer.data)["items"]


def log(pod: str) -> str:
    """Returns the log of a step; empty before its container has started."""
    import kubernetes

    try:
        answer = _core().read_namespaced_pod_log(pod, NAMESPACE, container="main", **_RAW)
    except kubernetes.client.ApiException:
        return ""
    return answer.data.decode()


@cache
def _core() -> Any:
    import kubernetes

    return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config())


def scale(deployment: str, replicas: int, namespace: str = NAMESPACE) -> None:
    """Starts or stops a deployment and waits until that is done."""
    kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}", namespace=namespace)
    kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=240s", namespace=namespace)
    if replicas == 0:
        selector = json.loads(kubectl("get", "deployment", deployment, "--output", "json", namespace=namespace))
        labels = ",".join(f"{key}={value}" for key, value in selector["spec"]["selector"]["matchLabels"].items())
        kubectl("wait", "pods", "--selector", labels, "--for=delete", "--timeout=120s", namespace=namespace)


def wait_for(what: str, look: Callable[[], T | None], seconds: float) -> T:
    """Looks twice a second until there is something to return."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not seen within {seconds:g} s"
        time.sleep(0.5)
    return found


@contextlib.contextmanager
def port_forward(service: str, port: int, namespace: str = NAMESPACE) -> Iterator[int]:
    """Yields a port of this machine that leads to a service."""
    command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)

        def local_port() -> int | None:
            said.seek(0)
            _, found, rest = said.read().partition("Forwarding from 127.0.0.1:")
            assert found or process.poll() is None, f"the port-forward of {service} ended"
            return int(rest.split()[0]) if found else None

        try:
            yield wait_for(f"the port-forward of {service}", local_port, 60)
        finally:
            process.kill()
            process.wait()

"""Reads from inside a pod, from Kubeflow's API, which steps of a run failed and why.

The v1beta1 API is the only one that returns the Argo workflow with its nodes, whose messages hold the reasons. The
steps need no right for it: the server answers every pod of its own namespace. In a Kubeflow with several users it
refuses, and nothing is known.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from gan_core.deadline import within

SERVER_VARIABLE = "ML_PIPELINE_SERVICE_HOST"
"""Kubernetes sets it in each pod of the namespace that has the service `ml-pipeline`, Kubeflow's API server."""
TIMEOUT_SECONDS = 10
_STEP = re.compile(r"(?:\((?P<trial>\d+):\d+\).*)?\.(?P<step>[a-z-]+)(?:\(\d+\)\.executor|-driver)(?:\(\d+\))?$")
_CONTAINER = re.compile(r"^main: (Error \(exit code \d+\): (?=.))?")


@dataclass(frozen=True)
class FailedStep:
    """A step whose last try failed; `pod` is the name of that try's pod."""

    name: str
    reason: str
    pod: str


@dataclass(frozen=True)
class KubeflowRun:
    """A run as far as it can be known inside it."""

    namespace: str
    cancelled: bool
    failed: tuple[FailedStep, ...]


def read_run(run_id: str) -> KubeflowRun:
    """Asks the API server of the pod's own namespace. Needs `SERVER_VARIABLE` in the environment.

    Raises:
        OSError, http.client.HTTPException: the server does not answer, or refuses.
        ValueError: its answer cannot be understood.
    """
    host, port = os.environ[SERVER_VARIABLE], os.environ[f"{SERVER_VARIABLE.removesuffix('HOST')}PORT_HTTP"]
    address = f"http://{host}:{port}/apis/v1beta1/runs/{urllib.parse.quote(run_id, safe='')}"
    # An opener of its own, because a proxy for addresses outside the cluster must not get this request.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask() -> bytes:
        with opener.open(address, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read()
            return content

    return parse(within(2 * TIMEOUT_SECONDS, ask))


def parse(content: str | bytes) -> KubeflowRun:
    """Reads the answer of the v1beta1 API, a JSON text.

    Raises:
        ValueError: it is not the answer for a run.
    """
    try:
        answer = json.loads(content)
        workflow = json.loads(answer["pipeline_runtime"]["workflow_manifest"])
        metadata, nodes = workflow["metadata"], workflow["status"].get("nodes") or {}
        last: dict[str, Any] = {}  # the last try of each pod, by its name without the number of the try
        for node in sorted(nodes.values(), key=lambda node: node.get("startedAt") or ""):
            if node["type"] == "Pod":
                last[re.sub(r"\(\d+\)$", "", node["name"])] = node
        failed = tuple(
            FailedStep(_step(node["name"]), _reason(node), _pod(metadata["name"], node))
            for node in last.values()
            if node["phase"] in ("Failed", "Error")
        )
        cancelled = workflow["spec"].get("activeDeadlineSeconds") == 0  # so Kubeflow ends a workflow
        return KubeflowRun(metadata["namespace"], cancelled, failed)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the answer is not that for a run ({type(error).__name__}: {error})") from None


def _step(node: str) -> str:
    if not (found := _STEP.search(node)):
        return node
    return found["step"] + (f" of trial {int(found['trial']) + 1}" if found["trial"] else "")


def _reason(node: Any) -> str:
    message = " ".join(_CONTAINER.sub("", node.get("message") or "").split())
    return "out of memory (OOMKilled)" if message.startswith("OOMKilled ") else message


def _pod(workflow: str, node: Any) -> str:
    """Returns the name of a node's pod, which Argo makes from the workflow, the template and the node's hash."""
    return f"{workflow}-{node['templateName']}-{node['id'].rpartition('-')[2]}"

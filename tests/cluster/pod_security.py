"""Asks the cluster whether Pod Security admits pods under its strictest standard."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from kubectl import kubectl

RESTRICTED = "gan-cluster-test-restricted"


def require_admitted(pods: Sequence[dict[str, Any]]) -> None:
    """Checks that copies of the pods would be admitted into a namespace that enforces `restricted`."""
    kubectl("create", "namespace", RESTRICTED)
    try:
        kubectl("label", "namespace", RESTRICTED, "pod-security.kubernetes.io/enforce=restricted")
        for pod in pods:
            given = json.dumps(_copied(pod))
            kubectl("create", "--dry-run=server", "-f", "-", namespace=RESTRICTED, given=given)
    finally:
        kubectl("delete", "namespace", RESTRICTED)


def _copied(pod: dict[str, Any]) -> dict[str, Any]:
    """Returns the pod without what only its own namespace and node have."""
    spec = copy.deepcopy(pod["spec"])
    for key in ("nodeName", "serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"):
        spec.pop(key, None)
    spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith("kube-api-access-")]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        container["volumeMounts"] = [
            mount for mount in container["volumeMounts"] if not mount["name"].startswith("kube-api-access-")
        ]
    metadata = {"name": pod["metadata"]["name"], "namespace": RESTRICTED}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

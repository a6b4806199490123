"""The part of Kubernetes' API that a TrainJob's step uses, for TrainJobs of one namespace.

It runs nothing: a test sets conditions, `pods` and `logs`, or lets `script` change them before each look. It answers
with the real server's statuses: 409 for a name that is taken, 403 for a webhook's refusal, 404 for what is absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local_servers import QuietHandler

NAMESPACE = "kubeflow"
_JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "gan-training-1", "uid": "u1"}


class TrainerServer(ThreadingHTTPServer):
    """The server, its state and its switches. `changes` lists the verbs of the requests that changed something."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.changes: list[str] = []
        self.script: list[Callable[[], None]] = []
        self.refused: int | None = None

    def condition(self, kind: str, reason: str, message: str) -> None:
        """Sets the only condition of all TrainJobs."""
        for job in self.jobs.values():
            job["status"] = {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}]}


def host(index: int, name: str, created: int, **status: Any) -> dict[str, Any]:
    """Returns a host's pod."""
    labels = {"batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": f"2026-11-30T10:00:{created:02}Z"},
        "status": status,
    }


def ended(exit_code: int) -> dict[str, Any]:
    """Returns the status of a pod that has ended."""
    state = {"terminated": {"exitCode": exit_code}}
    return {
        "containerStatuses": [
            {"name": "node", "state": state, "image": "", "imageID": "", "ready": False, "restartCount": 0}
        ]
    }


class _Handler(QuietHandler):
    server: TrainerServer

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if found := re.fullmatch(rf"{_JOBS}/([^/]+)", path):
            if self.server.script:
                self.server.script.pop(0)()
            self._answer(*self._found(found[1]))
        elif path == _JOBS:
            key, _, value = asked["labelSelector"][0].partition("=")
            self._answer(
                200,
                {"items": [job for job in self.server.jobs.values() if job["metadata"]["labels"].get(key) == value]},
            )
        elif path == _PODS:
            assert asked["labelSelector"][0].startswith("jobset.sigs.k8s.io/jobset-name=")
            self._answer(200, {"kind": "PodList", "items": self.server.pods})
        elif found := re.fullmatch(rf"{_PODS}/([^/]+)/log", path):
            self._answer(200, self.server.logs.get(found[1], ""))
        else:
            self._answer(200, {"kind": "Pod", "metadata": {"name": "step", "ownerReferences": [OWNER]}})

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refused:
            self._answer(self.server.refused, {"message": "spec.runtimePatches: Invalid value"})
        elif job["metadata"]["name"] in self.server.jobs:
            self._answer(409, {"reason": "AlreadyExists"})
        else:
            self.server.changes.append("create")
            self.server.jobs[job["metadata"]["name"]] = job
            self._answer(201, job)

    def do_DELETE(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        status, answer = self._found(name)
        if status == 200:
            self.server.changes.append("delete")
            del self.server.jobs[name]
        self._answer(status, answer)

    def _found(self, name: str) -> tuple[int, Any]:
        job = self.server.jobs.get(name)
        return (200, job) if job else (404, {"reason": "NotFound"})

    def _answer(self, status: int, content: Any) -> None:
        self.answer(status, content.encode() if isinstance(content, str) else json.dumps(content).encode())

"""A local HTTP server with the part of Kubeflow Pipelines' v2beta1 API that the project and the kfp CLI use.

Every request body must be exactly what the model of kfp-server-api can say, every query must be known, and run inputs
are checked as the API server checks them: by name, by presence and by declared type. Its answers have the fields and
values of the real server's: `test_recordings.py` compares them. It runs nothing, but can play a run's life.
"""

from __future__ import annotations

import email
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml

PREFIX = "/apis/v2beta1"
LISTING = {"page_token", "page_size", "sort_by", "filter", "namespace", "experiment_id"}
TYPES = {"STRING": str, "STRUCT": dict, "LIST": list, "BOOLEAN": bool, "NUMBER_DOUBLE": float, "NUMBER_INTEGER": float}
BAD_INPUTS = "Failed to create a new run: Failed to generate the ExecutionSpec: invalid pipeline job inputs: "
BAD_INPUTS += "Invalid input error: "
HEALTH = {"commit_sha": "unknown", "multi_user": False, "pipeline_store": "database", "tag_name": "unknown"}
NOW, NOT_YET = "2026-11-23T05:00:00Z", "1970-01-01T00:00:00Z"
# Kubeflow 2.17 as shipped has a plugin for MLflow that does not find its certificate.
NO_PLUGIN = {
    "mlflow": {
        "entries": {"experiment_name": {"value": "KFP-Default"}},
        "state": "PLUGIN_FAILED",
        "state_message": "failed to build MLflow request context: failed to read plugins.mlflow.tls.caBundlePath "
        '"/etc/mlflow-tracking-ca/ca.crt": open /etc/mlflow-tracking-ca/ca.crt: no such file or directory',
    }
}
API = kfp_server_api.ApiClient()


class Refused(Exception):
    """A refusal; `prefix` is what the server's layers put before the message."""

    def __init__(self, status: int, message: str, prefix: str = "") -> None:
        super().__init__(message)
        self.status = status
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": 3, "message": message}]
        self.answer = {"code": 3, "details": details, "message": prefix + message}


def checked(body: Any, model: str) -> dict[str, Any]:
    """Returns `body` if the model accepts it and keeps all of it."""
    try:
        read = API.sanitize_for_serialization(API.deserialize(SimpleNamespace(data=json.dumps(body)), model))
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(400, f"{model}: {error}") from None
    if read != body:
        raise Refused(400, f"{model} cannot say {body}; it says {read}")
    return read


class KubeflowServer(ThreadingHTTPServer):
    """The server, its state and its switches. `calls` lists every request that would change something."""

    daemon_threads = True

    def __init__(self, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.experiments: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Any]] = []
        self.run_states: list[dict[str, Any]] = [{"state": "SUCCEEDED"}]
        self.page_size = 2  # small, so that every listing has pages
        self.lose_after: int | None = None
        self.broken_reads = 0
        self.login_page = False
        self.multi_user = False
        self.most_enabled = 0
        self.propagation_policies: list[str | None] = []
        self._ids = 0
        self.lock = threading.Lock()
        described = "All runs created without specifying an experiment will be grouped here."
        self.add("experiments", {"display_name": "Default", "description": described})

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        key = {"recurring": "recurring_run_id", "versions": "pipeline_version_id"}.get(kind, f"{kind[:-1]}_id")
        identifier = f"{key.removesuffix('_id').replace('_', '-')}-{self._ids}"
        item = item | {key: identifier, "created_at": NOW}
        if kind == "experiments":
            item |= {"last_run_created_at": NOW, "storage_state": "AVAILABLE"}
        if kind in ("pipelines", "versions"):
            item["name"] = item["display_name"]
        getattr(self, kind)[identifier] = item
        return item

    def of_namespace(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """Returns what a user may list: on a multi-user host the items of one namespace, or the shared pipelines."""
        items = list(getattr(self, kind).values())
        if not self.multi_user:
            return items
        namespace = query.get("namespace", "")
        if not namespace and kind != "pipelines":
            thing = {"experiments": "An experiment", "recurring": "a recurring run"}[kind]
            raise Refused(400, f"{thing} cannot have an empty namespace in multi-user mode", "Invalid input error: ")
        if namespace not in ("", "team"):
            raise Refused(403, f"User 'someone' is not authorized in {namespace}")
        return [item for item in items if item.get("namespace", "") == namespace]

    def page(self, kind: str, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        if "filter" in query:
            for predicate in json.loads(query["filter"])["predicates"]:
                assert predicate["operation"] == 1, "EQUALS"
                items = [item for item in items if item["display_name"] == predicate["stringValue"]]
        if not items:
            return {}
        start = int(query.get("page_token") or 0)
        size = min(self.page_size, int(query.get("page_size") or 20))
        answer = {kind: items[start : start + size], "total_size": len(items)}
        return answer | ({"next_page_token": str(start + size)} if start + size < len(items) else {})

    def specification(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the pipeline that a run or recurring run names, by file or by version."""
        if reference := body.get("pipeline_version_reference"):
            version = self.versions.get(reference["pipeline_version_id"])
            if version is None or version["pipeline_id"] != reference["pipeline_id"]:
                raise Refused(404, f"no such version: {reference}")
            stored = version["pipeline_spec"]
        else:
            stored = body["pipeline_spec"]
        return stored.get("pipeline_spec", stored)

    def check_inputs(self, body: dict[str, Any]) -> None:
        declared = self.specification(body)["root"].get("inputDefinitions", {}).get("parameters", {})
        given = body.get("runtime_config", {}).get("parameters", {})
        for name, parameter in declared.items():
            if name not in given and not parameter.get("isOptional") and "defaultValue" not in parameter:
                message = f"parameter {name} is not optional, yet has neither default value nor user provided value"
                raise Refused(400, message, BAD_INPUTS)
        for name, value in given.items():
            if name not in declared:
                raise Refused(400, f"parameter(s) provided are not required by pipeline: {name}", BAD_INPUTS)
            kind = declared[name]["parameterType"]
            if not isinstance(float(value) if type(value) is int else value, TYPES[kind]):
                said = f"requires type {kind.lower()}, but the input parameter is not of {kind.lower()} value type"
                raise Refused(400, f"input parameter {name} {said}", BAD_INPUTS)

    def check_experiment(self, body: dict[str, Any]) -> None:
        if body.setdefault("experiment_id", next(iter(self.experiments))) not in self.experiments:
            raise Refused(404, f"no such experiment: {body.get('experiment_id')}")


class _Handler(BaseHTTPRequestHandler):
    server: KubeflowServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        with self.server.lock:
            if self.server.lose_after is not None and len(self.server.calls) >= self.server.lose_after:
                self.close_connection = True
                return
            try:
                status, answer = 200, self._handle(method, raw)
            except Refused as refusal:
                status, answer = refusal.status, refusal.answer
            enabled = [run["display_name"] for run in self.server.recurring.values() if run["status"] == "ENABLED"]
            self.server.most_enabled = max([self.server.most_enabled, *(enabled.count(name) for name in enabled)])
            if self.server.lose_after is not None and len(self.server.calls) >= self.server.lose_after:
                self.close_connection = True  # the change is made, but the answer is lost
                return
        body = b"<html>Log in</html>" if self.server.login_page else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.server.login_page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _handle(self, method: str, raw: bytes) -> Any:
        server = self.server
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            raise Refused(401, "Unauthorized")
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = parts.path.removeprefix(PREFIX)
        if method == "GET" and path != "/healthz" and server.broken_reads:
            server.broken_reads -= 1
            raise Refused(503, "Service Unavailable")
        if path == "/pipelines/upload_version":
            body: Any = _uploaded(self.headers["Content-Type"], raw)
        else:
            body = json.loads(raw) if raw else None
        if method != "GET":
            server.calls.append((method, path, body))
        for pattern, handler in _ROUTES[method]:
            if match := re.fullmatch(pattern, path):
                return handler(server, body, query, *match.groups())
        raise Refused(404, f"{method} {self.path}")


def _uploaded(content_type: str, raw: bytes) -> dict[str, Any]:
    form = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + raw)
    (part,) = form.get_payload()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    documents = list(yaml.safe_load_all(part.get_payload(decode=True)))
    if len(documents) == 1:
        return documents[0]
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}


def _listing(kind: str, items_of: Any) -> Any:
    def listing(server: KubeflowServer, _: Any, query: dict[str, str], *identifiers: str) -> Any:
        if unknown := set(query) - LISTING:
            raise Refused(400, f"unknown query: {unknown}")
        return server.page(kind, items_of(server, query, *identifiers), query)

    return listing


def _get(kind: str) -> Any:
    def get(server: KubeflowServer, _: Any, __: Any, *identifiers: str) -> Any:
        item = getattr(server, kind).get(identifiers[-1])
        if item is None:
            raise Refused(404, f"{kind}: {identifiers[-1]} not found")
        return item

    return get


def _create_experiment(server: KubeflowServer, body: Any, _: Any) -> Any:
    return server.add("experiments", checked(body, "V2beta1Experiment"))


def _create_pipeline(server: KubeflowServer, body: Any, _: Any) -> Any:
    pipeline = checked(body, "V2beta1Pipeline")
    if server.multi_user and pipeline.get("namespace") != "team":
        raise Refused(403, "Check if you have permission to create shared pipelines")
    if _owned(pipeline) in map(_owned, server.pipelines.values()):
        raise Refused(409, "The name of the pipeline already exists")
    return server.add("pipelines", pipeline)


def _owned(pipeline: dict[str, Any]) -> tuple[str, str]:
    return pipeline["display_name"], pipeline.get("namespace", "")


def _upload_version(server: KubeflowServer, body: Any, query: dict[str, str]) -> Any:
    if set(query) - {"description"} != {"name", "pipelineid"} or query["pipelineid"] not in server.pipelines:
        raise Refused(400, f"wrong query: {query}")
    named = {"display_name": query["name"], "pipeline_id": query["pipelineid"]}
    version = {**named, "pipeline_spec": body}
    if "description" in query:
        version["description"] = query["description"]
    if [found for found in server.versions.values() if named.items() <= found.items()]:
        raise Refused(409, "The name of the pipeline version already exists")
    return server.add("versions", checked(version, "V2beta1PipelineVersion"))


def _create_run(server: KubeflowServer, body: Any, _: Any) -> Any:
    run = checked(body, "V2beta1Run")
    server.check_experiment(run)
    server.check_inputs(run)
    began = {
        "state": "PENDING",
        "state_history": [{"state": "PENDING", "update_time": NOW}],
        "finished_at": NOT_YET,
        "scheduled_at": NOW,
        "service_account": "pipeline-runner",
        "storage_state": "AVAILABLE",
        "plugins_output": NO_PLUGIN,
    }
    return server.add("runs", began | _without_empty_inputs(run))


def _without_empty_inputs(run: dict[str, Any]) -> dict[str, Any]:
    return run if run["runtime_config"]["parameters"] else {k: v for k, v in run.items() if k != "runtime_config"}


def _get_run(server: KubeflowServer, _: Any, __: Any, identifier: str) -> Any:
    """Returns the run in the next of `run_states`; the last state stays forever."""
    state = server.run_states[0] if len(server.run_states) == 1 else server.run_states.pop(0)
    return _get("runs")(server, None, None, identifier) | state


def _create_recurring(server: KubeflowServer, body: Any, _: Any) -> Any:
    # The SDK sends an int64 as a number, which protobuf's JSON also accepts; the model declares text.
    run = checked(body | {"max_concurrency": str(body["max_concurrency"])}, "V2beta1RecurringRun")
    server.check_experiment(run)
    server.check_inputs(run)
    namespace = server.experiments[run["experiment_id"]].get("namespace", "kubeflow")
    added = {"namespace": namespace, "status": run["mode"] + "D", "updated_at": NOW}
    return server.add("recurring", _without_empty_inputs(run) | added)


def _switch(server: KubeflowServer, _: Any, __: Any, identifier: str, verb: str) -> Any:
    _get("recurring")(server, None, None, identifier).update(mode=verb.upper(), status=verb.upper() + "D")
    return {}


def _delete_recurring(server: KubeflowServer, _: Any, query: dict[str, str], identifier: str) -> Any:
    _get("recurring")(server, None, None, identifier)
    del server.recurring[identifier]
    server.propagation_policies.append(query.get("propagation_policy"))
    return {}


_ROUTES: dict[str, list[tuple[str, Any]]] = {
    "GET": [
        ("/healthz", lambda server, *_: HEALTH | {"multi_user": server.multi_user}),
        ("/experiments", _listing("experiments", lambda server, query: server.of_namespace("experiments", query))),
        ("/experiments/([^/]+)", _get("experiments")),
        ("/pipelines", _listing("pipelines", lambda server, query: server.of_namespace("pipelines", query))),
        (
            "/pipelines/([^/]+)/versions",
            _listing(
                "pipeline_versions",
                lambda server, _, pipeline: [v for v in server.versions.values() if v["pipeline_id"] == pipeline],
            ),
        ),
        ("/runs/([^/]+)", _get_run),
        ("/recurringruns", _listing("recurringRuns", lambda server, query: server.of_namespace("recurring", query))),
    ],
    "POST": [
        ("/experiments", _create_experiment),
        ("/pipelines", _create_pipeline),
        ("/pipelines/upload_version", _upload_version),
        ("/runs", _create_run),
        ("/recurringruns", _create_recurring),
        ("/recurringruns/([^/:]+):(enable|disable)", _switch),
    ],
    "DELETE": [("/recurringruns/([^/]+)", _delete_recurring)],
}

"""The server of these tests answers as the real one did, request by request."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubeflow_server import KubeflowServer
from recordings import RUNS, life, read

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SEEDED = {
    "experiments": "experiments",
    "pipelines": "pipelines",
    "versions": "pipeline_versions",
    "recurring": "recurringRuns",
}
IDENTIFIERS = ("experiment_id", "pipeline_id", "pipeline_version_id", "recurring_run_id", "run_id")


def differences(place: str, actual: Any, recorded: Any) -> list[str]:
    """Returns differences in the presence and type of fields, and in values except identifiers, times and pipelines."""
    key = place.rpartition(".")[2]
    if key == "pipeline_spec":
        return []
    if type(actual) is not type(recorded):
        return [f"{place}: {actual!r}, recorded {recorded!r}"]
    if isinstance(recorded, dict):
        found = [f"{place}.{name} is not in both" for name in actual.keys() ^ recorded.keys()]
        both = [name for name in recorded if name in actual]
        return found + [line for name in both for line in differences(f"{place}.{name}", actual[name], recorded[name])]
    if isinstance(recorded, list) and len(actual) == len(recorded):
        pairs = zip(actual, recorded, strict=True)
        return [line for number, pair in enumerate(pairs) for line in differences(f"{place}.{number}", *pair)]
    if key.endswith("_at") or key == "update_time":
        return [] if TIME.fullmatch(actual) else [f"{place}: {actual}"]
    return [] if key in IDENTIFIERS or actual == recorded else [f"{place}: {actual!r}, recorded {recorded!r}"]


class Client:
    """Sends recorded requests and replaces recorded identifiers by those that the server returned."""

    def __init__(self, server: KubeflowServer, upload: bytes) -> None:
        self.host, self.upload = urlsplit(server.host).netloc, upload
        self.names: dict[str, str] = {}

    def send(self, line: dict[str, Any]) -> tuple[int, Any]:
        text = json.dumps([line["path"], line["body"]])
        for recorded, name in self.names.items():
            text = text.replace(recorded, name)
        path, body = json.loads(text)
        headers = {"Content-Type": "application/json"}
        data: bytes | None = json.dumps(body).encode() if body else None
        if body == "<compiled pipeline>":
            headers["Content-Type"] = "multipart/form-data; boundary=b"
            data = b'--b\r\nContent-Disposition: form-data; name="uploadfile"\r\n\r\n' + self.upload + b"\r\n--b--\r\n"
        elif body and body.get("pipeline_spec"):
            pipeline, platform = yaml.safe_load_all(self.upload)
            data = json.dumps(body | {"pipeline_spec": {"pipeline_spec": pipeline, "platform_spec": platform}}).encode()
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request(line["method"], path, data, headers)
        answer = connection.getresponse()
        read = json.loads(answer.read())
        connection.close()
        self.names |= {
            line["answer"][key]: read[key] for key in IDENTIFIERS if isinstance(line["answer"], dict) and key in read
        }
        return answer.status, read


def test_every_recorded_request_has_the_recorded_answer(server: KubeflowServer, compiled: Path) -> None:
    lines = read("requests.jsonl")
    server.page_size, server.run_states = 100, [{}]
    for kind, name in SEEDED.items():
        first = next(line["answer"][name] for line in lines if name in line.get("answer", {}))
        setattr(server, kind, {next(item[key] for key in reversed(IDENTIFIERS) if key in item): item for item in first})
    pipeline, platform = yaml.safe_load_all(compiled.read_text())
    for version in server.versions.values():
        version["pipeline_spec"] = {"pipeline_spec": pipeline, "platform_spec": platform}
    client = Client(server, compiled.read_bytes())
    found, step = [], ""
    for line in lines:
        if "step" in line:
            step = line["step"]
            continue
        status, answer = client.send(line)
        assert status == line["status"], (step, line["method"], line["path"], answer)
        found += differences(f"{step}: {line['method']} {line['path']}", answer, line["answer"])
    assert found == []
    assert len(lines) > 80


def test_objects_that_the_server_adds_have_the_recorded_fields(server: KubeflowServer) -> None:
    lines = read("requests.jsonl")
    for kind, name in SEEDED.items():
        first = next(line["answer"][name][0] for line in lines if name in line.get("answer", {}))
        if kind == "experiments":
            assert next(iter(server.experiments.values())).keys() == first.keys()
        if kind in ("pipelines", "versions"):
            assert server.add(kind, {"display_name": "a"}).keys() <= first.keys()


@pytest.mark.parametrize("run", RUNS)
def test_the_answers_of_a_run_end_as_recorded_and_include_all_earlier_states(run: str) -> None:
    states = life(run)
    assert states[-1] == RUNS[run]
    numbers = [len(state["run_details"]["task_details"]) for state in states]
    assert numbers == sorted(numbers)
    assert (numbers[0] <= 4, len(states) > 8) == (True, True)
    assert {state["state"] for state in states} == {entry["state"] for entry in RUNS[run]["state_history"]}

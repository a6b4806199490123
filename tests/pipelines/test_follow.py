"""What `submit --wait` says while recorded runs go on, without and with Kubernetes to ask."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from kubeflow_server import KubeflowServer
from recordings import life
from test_command_line import refused, run

from pipelines import follow
from pipelines.follow import duration
from tests.pipelines.conftest import IMAGE, ROOT

NODE = "{workflow}(0).root(0).exit-handler-1(0).{step}(0).executor({number})"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often, and never finds that something took long."""
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 1000.0)


def followed(
    capsys, server: KubeflowServer, file: Path, name: str, *arguments: str
) -> tuple[int, list[str], list[str]]:
    """Follows a recorded run; returns the exit code, the lines about its end, and the lines about its stages."""
    server.run_states = [
        {key: moment[key] for key in ("state", "state_history", "run_details", "finished_at")} for moment in life(name)
    ]
    code, out, errors = run(capsys, "submit", "--file", str(file), "--wait", *arguments)
    (address,) = [line for line in out.splitlines() if line.startswith("Run details: ")]
    return code, out.partition(address)[2].split("\n")[1:-1], errors.splitlines()


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipelines.__main__ import main

    output = tmp_path_factory.mktemp("compiled") / "sweep.yaml"
    profile = ["--profile", str(ROOT / "infra/profiles/cpu.yaml"), "--params", str(ROOT / "params.yaml")]
    grid = ["--grid", "train.learning_rate=0.001,0.0002"]
    main(["compile", "sweep", "--image", IMAGE, "--output", str(output), *profile, *grid])
    return output


# --- without Kubernetes


def test_each_stage_is_shown_once(capsys, server, compiled) -> None:
    code, end, lines = followed(capsys, server, compiled, "from the cache, by a schedule")
    (run_id,) = server.runs
    assert (code, end) == (0, [f"{run_id} SUCCEEDED"])
    assert lines == [
        *("resolve: done, 10 s", "fetch: cached", "prepare: cached", "train: cached", "evaluate: cached"),
        *("register: done, 10 s", "report-status: done, 10 s"),
    ]


def test_a_second_try_is_named(capsys, server, compiled) -> None:
    code, _, lines = followed(capsys, server, compiled, "succeeded, second try")
    trained = [line.partition(", ")[0] if "running" in line else line for line in lines if line.startswith("train")]
    assert (code, trained) == (0, ["train: running", "train: done, 2nd try, 3 min 3 s"])
    assert len(lines) == 8


def test_a_failed_run_names_the_failed_step_and_what_to_type(capsys, server, compiled) -> None:
    code, end, lines = followed(capsys, server, compiled, "out of memory")
    (run_id,) = server.runs
    assert code == 1
    assert end == [
        f"{run_id} FAILED",
        "train failed",
        f"  this line tells why: kubectl -n kubeflow describe pods -l pipeline/runid={run_id}",
    ]
    assert "train: failed, 2nd try, 46 s" in lines
    assert lines[-2:] == ["evaluate: not run", "register: not run"]


def test_a_cancelled_run_is_not_called_failed(capsys, server, compiled) -> None:
    code, end, lines = followed(capsys, server, compiled, "cancelled")
    (run_id,) = server.runs
    assert (code, end) == (1, [f"{run_id} CANCELED"])
    assert "train: cancelled, 1 min 6 s" in lines


def test_the_trials_of_a_sweep_are_told_apart(capsys, server, sweep) -> None:
    code, _, lines = followed(capsys, server, sweep, "sweep")
    assert code == 0
    assert [line for line in lines if "trial" in line] == [
        "train, trial 1 (learning_rate=0.001): done, 46 s",
        "train, trial 2 (learning_rate=0.0002): done, 46 s",
        "evaluate, trial 1 (learning_rate=0.001): done, 39 s",
        "evaluate, trial 2 (learning_rate=0.0002): done, 39 s",
    ]
    assert len(lines) == 10


def test_a_step_that_waits_long_is_named_once_with_the_line_that_tells_why(
    capsys, server, compiled, monkeypatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    (run_id,) = server.runs
    line = f"kubectl -n kubeflow describe pods -l pipeline/runid={run_id}"
    why = f"waits for a node or an image. This line tells why: {line}"
    assert lines.count(f"prepare {why}") == 1
    assert lines[0] == f"The next step {why}"


def test_a_step_that_runs_long_has_a_line_before_its_end(capsys, server, compiled, monkeypatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    _, _, lines = followed(capsys, server, compiled, "sweep")
    assert len([line for line in lines if line.startswith("train, trial 1: running, ")]) == 1


def test_a_timeout_also_ends_the_wait_for_a_server_that_is_away(capsys, server, compiled, monkeypatch) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.1)
    real = follow.Following.to_the_end

    def away(self):
        server.broken_reads = 1000
        return real(self)

    monkeypatch.setattr(follow.Following, "to_the_end", away)
    said = refused(capsys, 75, "submit", "--file", str(compiled), "--wait", "--timeout", "1")
    assert "did not end in time" in said


def test_a_timeout_ends_the_following_and_not_the_run(capsys, server, compiled, monkeypatch) -> None:
    server.run_states = [{"state": "RUNNING"}]
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.1)
    said = refused(capsys, 75, "submit", "--file", str(compiled), "--wait", "--timeout", "1")
    assert said == "error: The run continues, but did not end in time. Received: --timeout 1"
    assert [path for _, path, _ in server.calls] == ["/runs"]


@pytest.mark.parametrize("arguments", [["--timeout", "0", "--wait"], ["--timeout", "-1", "--wait"], ["--timeout", "9"]])
def test_a_wrong_timeout_is_refused_before_anything_is_sent(capsys, server, compiled, arguments) -> None:
    said = refused(capsys, 2, "submit", "--file", str(compiled), *arguments)
    assert "--timeout must be at least 1, and used with --wait" in said
    assert server.calls == []


def test_a_terminal_shows_one_table(server, compiled) -> None:
    states = ("state", "state_history", "run_details", "finished_at")
    server.run_states = [{key: moment[key] for key in states} for moment in life("from the cache, by a schedule")][-3:]
    code = (
        "from pipelines import follow, __main__\nfollow.POLL_SECONDS = 0.01\n"
        f"__main__.main(['submit', '--file', {str(compiled)!r}, '--wait'])"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0, written
    assert b"\x1b[" in written
    table = written.decode().rpartition("step")[2]
    assert [line.split()[:2] for line in table.splitlines()[1:4]] == [
        ["resolve", "done"],
        ["fetch", "cached"],
        ["prepare", "cached"],
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_a_duration_has_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# --- with Kubernetes


def pod(step: str, number: int, workflow: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{step}-{number}",
            "creationTimestamp": f"2026-01-01T00:00:0{number}Z",
            "annotations": {
                "workflows.argoproj.io/node-name": NODE.format(step=step, number=number, workflow=workflow)
            },
        },
        "spec": {"containers": [{"name": "main"}]},
        "status": status,
    }


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state}]


class Kubernetes(ThreadingHTTPServer):
    """Answers for the pods of one namespace; notes what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pods: list[dict[str, Any]] = []
        self.workflows: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.log = ""
        self.asked: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Kubernetes

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        selectors = [query[name][0] for name in ("labelSelector", "fieldSelector") if name in query]
        self.server.asked.add(next(iter(selectors), parts.path))
        lists = {
            "/api/v1/namespaces/kubeflow/pods": self.server.pods,
            "/apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows": self.server.workflows,
            "/api/v1/namespaces/kubeflow/events": self.server.events,
        }
        is_list = parts.path in lists
        body = json.dumps({"items": lists[parts.path]}) if is_list else self.server.log
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_list else "text/plain")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kubernetes(server: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    with Kubernetes() as running:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{running.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "c", **config}))
        monkeypatch.setenv("KUBECONFIG", str(path))
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


KILLED = container(terminated={"exitCode": 137, "reason": "OOMKilled"})


def test_out_of_memory_is_told(capsys, server, compiled, kubernetes) -> None:
    kubernetes.pods = [
        pod("train", number, "gan-training-oom-00003", phase="Failed", containerStatuses=KILLED) for number in (1, 0)
    ]
    kubernetes.log = "images seen: 5\nI1129 launcher: uploading\nError: exit status 1\n"
    _, end, lines = followed(capsys, server, compiled, "out of memory")
    (run_id,) = server.runs
    reason = "out of memory (OOMKilled): the profile's memory_limit is too small for this step"
    assert end == [
        f"{run_id} FAILED",
        f"train failed: {reason}",
        "  its last line: images seen: 5",
        "  to read its whole log: kubectl -n kubeflow logs train-1 -c main",
    ]
    (second,) = [line for line in lines if line.startswith("train: running, 2nd try")]
    assert second.startswith(f"train: running, 2nd try after: {reason}, ")
    assert f"pipeline/runid={run_id}" in kubernetes.asked


@pytest.mark.parametrize(
    ("status", "log", "said"),
    [
        (
            {
                "containerStatuses": container(
                    terminated={"exitCode": 1, "message": "exit code 2: There is no x.\nReceived: y"}
                )
            },
            "error: There is no x.\n",
            ["train failed: exit code 2: There is no x. Received: y"],
        ),
        (
            {"containerStatuses": container(terminated={"exitCode": 1, "reason": "Error"})},
            "error: a \x1b[31mred one\nlater\nF1129 main.go:50] exit status 1\nError: exit status 1\n",
            ["train failed: exit code 1", "  its last line: error: a \\x1b[31mred one"],
        ),
        (
            {"containerStatuses": container(terminated={"exitCode": 1, "reason": "Error"})},
            "I1129 main.go:9] output:\n}\nF1129 21:38:03 15 main.go:127] KFP driver: driver.Container(taskName=x) "
            "failed: failed to resolve inputs: two tasks have the same task name\nError: exit status 1\n",
            [
                "train failed: exit code 1",
                "  its last line: failed to resolve inputs: two tasks have the same task name",
            ],
        ),
        (
            {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline"},
            "",
            ["train failed: DeadlineExceeded: Pod was active on the node longer than the specified deadline"],
        ),
        (
            {"reason": "Evicted", "message": "The node was low on memory."},
            "",
            ["train failed: Evicted: The node was low on memory."],
        ),
        ({}, "", ["train failed"]),
    ],
)
def test_the_reason_of_a_failure_is_told(capsys, server, compiled, kubernetes, status, log, said) -> None:
    kubernetes.pods, kubernetes.log = [pod("train", 1, "gan-training-oom-00003", phase="Failed", **status)], log
    _, end, _ = followed(capsys, server, compiled, "out of memory")
    assert end[1:-1] == said


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available",
                    }
                ]
            },
            "prepare waits. Unschedulable: 0/1 nodes are available",
        ),
        (
            {
                "containerStatuses": container(
                    waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}
                )
            },
            'prepare waits. ImagePullBackOff: Back-off pulling image "x"',
        ),
        (
            {
                "containerStatuses": container(
                    waiting={"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}
                )
            },
            'prepare waits. CreateContainerConfigError: secret "x" not found',
        ),
    ],
)
def test_a_waiting_pods_own_sentence_is_told_once(
    capsys, server, compiled, kubernetes, monkeypatch, status, said
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    kubernetes.pods = [pod("prepare", 0, "gan-training-cpu-00006", phase="Pending", **status)]
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    assert lines.count(said) == 1
    assert not [line for line in lines if line.startswith("prepare waits for")]


def test_a_step_without_a_pod_is_explained_by_the_workflow(capsys, server, compiled, kubernetes, monkeypatch) -> None:
    """Such as by a full quota."""
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    message = 'pods "gan-training-cpu" is forbidden: exceeded quota: small'
    name = NODE.format(step="prepare", number=0, workflow="gan-training-cpu-00006")
    other = NODE.format(step="resolve", number=0, workflow="gan-training-cpu-00006")
    nodes = {
        "a": {"type": "Pod", "name": name, "message": message, "startedAt": "2026-01-01T00:00:00Z"},
        "b": {"type": "Pod", "name": other, "message": "another's", "startedAt": "2026-01-01T00:00:09Z"},
        "c": {"type": "Retry", "name": name.removesuffix("(0)"), "message": "No more retries left"},
    }
    kubernetes.workflows = [{"status": {"nodes": nodes}}]
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    assert lines.count(f"prepare waits. {message}") == 1


def test_a_failed_step_whose_pod_was_deleted_is_explained_by_the_workflow(capsys, server, compiled, kubernetes) -> None:
    name = NODE.format(step="train", number=1, workflow="gan-training-oom-00003")
    kubernetes.workflows = [{"status": {"nodes": {"a": {"type": "Pod", "name": name, "message": "pod deleted"}}}}, {}]
    _, end, _ = followed(capsys, server, compiled, "out of memory")
    (run_id,) = server.runs
    line = f"kubectl -n kubeflow describe pods -l pipeline/runid={run_id}"
    assert end[1:] == ["train failed: pod deleted", f"  this line tells why: {line}"]


def test_a_pod_that_is_just_being_made_is_no_reason(capsys, server, compiled, kubernetes, monkeypatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    making = container(waiting={"reason": "ContainerCreating"})
    kubernetes.pods = [pod("prepare", 0, "gan-training-cpu-00006", phase="Pending", containerStatuses=making)]
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    assert [line for line in lines if line.startswith("prepare waits for a node or an image.")]


def test_a_kubeconfig_of_a_cluster_that_is_away_is_as_none(capsys, server, compiled, kubernetes) -> None:
    kubernetes.server_close()
    code, end, _ = followed(capsys, server, compiled, "out of memory")
    assert (code, end[1]) == (1, "train failed")


@pytest.mark.parametrize("text", ["a: [", "[]", "5", "clusters: 5\ncurrent-context: c", "\0"])
def test_a_broken_kubeconfig_is_as_none(capsys, server, compiled, monkeypatch, tmp_path, text) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    code, end, _ = followed(capsys, server, compiled, "out of memory")
    assert (code, end[1]) == (1, "train failed")


def test_a_volume_that_cannot_be_mounted_is_told_by_the_pods_last_event(
    capsys, server, compiled, kubernetes, monkeypatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    making = container(waiting={"reason": "ContainerCreating"})
    kubernetes.pods = [pod("prepare", 0, "gan-training-cpu-00006", phase="Pending", containerStatuses=making)]
    kubernetes.events = [
        {
            "metadata": {"name": f"e{minute}"},
            "involvedObject": {"name": "prepare-0"},
            "reason": "FailedAttachVolume",
            "message": f"Multi-Attach error for volume\n{minute}",
            "lastTimestamp": f"2026-01-01T00:0{minute}:00Z",
        }
        for minute in (2, 1)
    ]
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    assert lines.count("prepare waits. FailedAttachVolume: Multi-Attach error for volume 2") == 1
    assert "involvedObject.name=prepare-0,type=Warning" in kubernetes.asked


def test_a_step_whose_pod_argo_has_not_made_is_told_from_one_that_waits_for_a_node(
    capsys, server, compiled, kubernetes, monkeypatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.0)
    kubernetes.pods = [pod("resolve", 0, "gan-training-cpu-00006", phase="Succeeded")]
    _, _, lines = followed(capsys, server, compiled, "no room, then cancelled")
    assert lines.count("prepare waits. Argo's controller has not made its pod yet.") == 1
    assert not [line for line in lines if line.startswith(("prepare waits for", "The next step waits for"))]

"""What Kubeflow's API says about a run, read inside the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
from local_servers import QuietHandler, serving

from components.kubeflow_run import FailedStep, KubeflowRun, parse, read_run
from components.report_status import message


def node(name: str, phase: str, text: str = "", *, kind: str = "Pod", at: int = 0) -> dict[str, str]:
    number = abs(hash(name)) % 10**6
    return {
        "id": f"gan-x-{number}",
        "name": f"gan-x(0).root(0).exit-handler-1(0){name}",
        "type": kind,
        "phase": phase,
        "message": text,
        "templateName": "system-container-impl",
        "startedAt": f"2026-01-01T00:00:{at:02}Z",
    }


def answer(*nodes: dict[str, str], deadline: int = 172800) -> str:
    workflow = {
        "spec": {"activeDeadlineSeconds": deadline},
        "metadata": {"name": "gan-x", "namespace": "kubeflow"},
        "status": {"nodes": {found["id"]: found for found in nodes}},
    }
    return json.dumps({"run": {}, "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)}})


def pod(found: dict[str, str]) -> str:
    return f"gan-x-system-container-impl-{found['id'].removeprefix('gan-x-')}"


def test_a_failed_step_is_named_with_the_last_sentence_that_it_wrote() -> None:
    failed = node(
        ".train(0).executor(0)", "Failed", "main: Error (exit code 1): exit code 2: The parameter is wrong. Received: x"
    )
    run = parse(answer(failed, node(".train(0)", "Failed", "child failed", kind="DAG")))
    assert run.failed == (FailedStep("train", "exit code 2: The parameter is wrong. Received: x", pod(failed)),)
    assert message("p", "FAILED", "", "1", run) == (
        "p: run 1 ended FAILED. train failed: exit code 2: The parameter is wrong. Received: x. "
        f"Its log: kubectl -n kubeflow logs {pod(failed)} -c main"
    )


def test_only_the_last_try_of_a_step_counts() -> None:
    tries = [
        node(".train(0).executor(0)", "Failed", "OOMKilled (exit code 137)", at=1),
        node(".train(0).executor(1)", "Failed", "main: OOMKilled (exit code 137)", at=2),
        node(".evaluate(0).executor(0)", "Error", "pod deleted", at=1),
        node(".evaluate(0).executor(1)", "Succeeded", at=2),
    ]
    assert parse(answer(*tries)).failed == (FailedStep("train", "out of memory (OOMKilled)", pod(tries[1])),)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        (".train-driver(2)", "train"),
        (".report-status(0).executor", "report-status"),
        (".for-loop-2(0).iteration-iterations(1:1).iteration-item(1:1)(0).train(0).executor(3)", "train of trial 2"),
        (".something.else", "gan-x(0).root(0).exit-handler-1(0).something.else"),
    ],
)
def test_the_name_of_a_step_is_read_from_its_node(name: str, step: str) -> None:
    ((failed),) = parse(answer(node(name, "Failed"))).failed
    assert (failed.name, failed.reason) == (step, "")


def test_a_cancelled_run_is_told_from_one_that_reached_its_deadline() -> None:
    stopped = node(".train(0).executor(0)", "Failed", "Step exceeded its deadline")
    cancelled, late = parse(answer(stopped, deadline=0)), parse(answer(stopped))
    assert message("p", "RUNNING", None, "1", cancelled) == "p: run 1 was cancelled"
    assert message("p", "RUNNING", None, "1", late).startswith(
        "p: run 1 reached its deadline. train failed: Step exceeded its deadline. Its log: kubectl "
    )
    assert message("p", "RUNNING", None, "1", None) == "p: run 1 was cancelled, or reached its deadline"


RECORDED = json.loads((Path(__file__).parent / "kubeflow-2.17.0-runs.json").read_text())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cancelled", "was cancelled"),
        (
            "out-of-memory",
            "ended FAILED. train failed: out of memory (OOMKilled). Its log: kubectl -n kubeflow logs {pod}",
        ),
    ],
)
def test_what_a_real_kubeflow_answered_is_understood(name: str, said: str) -> None:
    """The answers were recorded on Kubeflow 2.17.0 with Argo 4.0.5 and shortened to their pods."""
    run = parse(json.dumps(RECORDED[name]))
    pod = "gan-training-cluster-test-v946s-retry-system-container-impl-4146364503"
    assert message("p", "FAILED", {}, "1", run).removesuffix(" -c main") == f"p: run 1 {said.format(pod=pod)}"


@pytest.mark.parametrize(
    "wrong",
    ["null", "[]", "{}", answer().replace("spec", "specification"), answer().replace("workflow_manifest", "manifest")],
)
def test_another_answer_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="the answer is not that for a run"):
        parse(wrong)


class Server(HTTPServer):
    """Kubeflow's API server: answers with `content`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: tuple[int, bytes] = (200, answer().encode())
        self.asked: list[str] = []


class _Handler(QuietHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.answer(*self.server.content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server()) as running:
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT_HTTP", str(running.server_address[1]))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        yield running


def test_the_server_of_the_own_namespace_is_asked_without_a_proxy(server: Server) -> None:
    assert read_run("a/../b") == KubeflowRun("kubeflow", cancelled=False, failed=())
    assert server.asked == ["/apis/v1beta1/runs/a%2F..%2Fb"]


@pytest.mark.parametrize("content", [(403, b"{}"), (200, b"no JSON"), (200, b"\xff"), (200, b"[" * 100_000)])
def test_a_server_that_refuses_or_answers_nonsense_is_an_error_that_the_report_survives(
    server: Server, content: tuple[int, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    from components.report_status import ask_kubeflow

    server.content = content
    assert ask_kubeflow("1") is None
    assert capfd.readouterr().err.startswith("warning: Kubeflow does not say why the run ended: ")

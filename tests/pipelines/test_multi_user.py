"""The commands against a multi-user Kubeflow: each user has experiments, pipelines and schedules in a namespace."""

from __future__ import annotations

import subprocess

import pytest
from kubeflow_server import KubeflowServer
from test_command_line import refused, run
from test_schedule import WEEKLY, current_schedules, declare

OWN = ("--namespace", "team")


@pytest.fixture
def shared(server: KubeflowServer) -> KubeflowServer:
    """A multi-user host with one user's namespace, `team`, and an experiment in it."""
    server.multi_user = True
    server.add("experiments", {"display_name": "gan", "namespace": "team"})
    return server


def published(capsys) -> str:
    _, out, _ = run(capsys, "publish", *OWN, "training.yaml")
    return next(word for word in out.split() if word.startswith("git-"))


@pytest.fixture
def file(compiled, repository) -> str:
    """The compiled pipeline, committed."""
    (repository / "training.yaml").write_bytes(compiled.read_bytes())
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["add", "."], [*identity, "commit", "-q", "-m", "second"]):
        subprocess.run(["git", *arguments], check=True)
    return "training.yaml"


def test_the_users_own_namespace_is_required(capsys, shared, compiled) -> None:
    message = refused(capsys, 2, "submit", "--file", str(compiled), "--experiment", "gan")
    assert "--namespace must name your own namespace. Received: kubeflow" in message
    message = refused(capsys, 2, "submit", "--file", str(compiled), "--experiment", "gan", "--namespace", "strangers")
    assert "(403): User 'someone' is not authorized in strangers" in message
    assert shared.calls == []


def test_a_run_starts_in_the_users_experiment(capsys, shared, compiled) -> None:
    assert run(capsys, "submit", "--file", str(compiled), "--experiment", "gan", *OWN)[0] == 0
    (started,) = shared.runs.values()
    assert shared.experiments[started["experiment_id"]]["namespace"] == "team"
    assert "must be one of gan " in refused(capsys, 2, "submit", "--file", str(compiled), *OWN)


def test_a_published_pipeline_is_the_users_own(capsys, shared, file) -> None:
    shared.add("pipelines", {"display_name": "gan-training-cpu"})  # a shared pipeline, which users must not change
    version = published(capsys)
    assert [pipeline.get("namespace") for pipeline in shared.pipelines.values()] == [None, "team"]
    assert "already published" in run(capsys, "publish", file, *OWN)[1]
    arguments = ["--pipeline", "gan-training-cpu", "--version", version, "--experiment", "gan"]
    assert run(capsys, "submit", *arguments, *OWN)[0] == 0


def test_a_shared_pipeline_is_found_too(capsys, shared, file) -> None:
    version = published(capsys)
    (pipeline,) = shared.pipelines.values()
    del pipeline["namespace"]
    arguments = ["--pipeline", "gan-training-cpu", "--version", version, "--experiment", "gan"]
    assert run(capsys, "submit", *arguments, *OWN)[0] == 0
    message = refused(capsys, 2, "submit", "--pipeline", "x", "--version", version, "--experiment", "gan", *OWN)
    assert "must be one of gan-training-cpu. Received: x" in message


def test_schedules_are_compared_with_those_of_the_namespace(capsys, shared, file, tmp_path) -> None:
    schedules = declare(tmp_path, WEEKLY | {"version": published(capsys), "experiment": "gan"})
    for _ in range(2):
        assert run(capsys, "schedule", "apply", schedules, *OWN)[0] == 0
        assert [(name, status) for name, _, status, _ in current_schedules(shared)] == [("weekly", "ENABLED")]

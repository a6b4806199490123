"""A step creates, finds, follows and deletes its TrainJob. tests/cluster does the same with the real controllers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from local_servers import serving
from trainer_server import NAMESPACE, OWNER, TrainerServer, ended, host

from components.report_status import delete_trainjobs
from components.trainer import jobs
from components.trainer.follow import HostsFailed, follow
from components.trainer.jobs import RUN_LABEL, Cluster, TrainJob
from gan_core.errors import InvalidInput, TryAgain

MANIFEST = {"kind": "TrainJob", "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gan"}}, "spec": {}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TrainerServer]:
    with serving(TrainerServer()) as found:

        def load() -> None:
            settings = kubernetes.client.Configuration(host=f"http://127.0.0.1:{found.server_port}")
            settings.retries = False
            kubernetes.client.Configuration.set_default(settings)

        (tmp_path / "namespace").write_text(f"{NAMESPACE}\n")
        monkeypatch.setattr(kubernetes.config, "load_incluster_config", load)
        monkeypatch.setattr(jobs, "_NAMESPACE", tmp_path / "namespace")
        monkeypatch.setenv("KFP_POD_NAME", "step")
        yield found
        kubernetes.client.Configuration.set_default(None)


@pytest.fixture
def job(server: TrainerServer) -> TrainJob:
    created = TrainJob("gan-1", Cluster())
    assert created.ensure(MANIFEST, "run-1") is False
    return created


def looks(count: int) -> Any:
    """Returns a pause that ends the test's patience after `count` looks."""
    left = iter(range(count))

    def pause(_: float) -> None:
        if next(left, None) is None:
            raise AssertionError("followed for too long")

    return pause


def test_the_trainjob_belongs_to_the_run_and_its_workflow(server: TrainerServer, job: TrainJob) -> None:
    metadata = server.jobs["gan-1"]["metadata"]
    assert metadata["labels"] == {"kueue.x-k8s.io/queue-name": "gan", RUN_LABEL: "run-1"}
    assert metadata["ownerReferences"] == [OWNER]


def test_a_second_try_finds_the_trainjob(server: TrainerServer, job: TrainJob) -> None:
    assert TrainJob("gan-1", Cluster()).ensure(MANIFEST, "run-1") is True
    server.condition("Complete", "AllJobsCompleted", "jobset completed successfully")
    assert TrainJob("gan-1", Cluster()).ensure(MANIFEST, "run-1") is True
    assert server.changes == ["create"]


def test_a_trainjob_that_failed_is_replaced(server: TrainerServer, job: TrainJob) -> None:
    server.condition("Failed", "FailedJobs", "jobset failed")
    assert TrainJob("gan-1", Cluster()).ensure(MANIFEST, "run-1") is False
    assert server.changes == ["create", "delete", "create"]


def test_the_trainjob_of_another_run_is_never_taken(job: TrainJob) -> None:
    with pytest.raises(InvalidInput, match=r"must be of this Kubeflow run, run-2\. Received: gan-1 of 'run-1'"):
        job.ensure(MANIFEST, "run-2")


def test_a_trainjob_that_is_still_being_deleted_is_left_alone(server: TrainerServer, job: TrainJob) -> None:
    server.jobs["gan-1"]["metadata"]["deletionTimestamp"] = "2026-11-30T10:00:00Z"
    with pytest.raises(TryAgain, match="still being deleted"):
        job.ensure(MANIFEST, "run-1")


@pytest.mark.parametrize(("status", "error"), [(403, InvalidInput), (404, InvalidInput), (500, TryAgain)])
def test_a_refusal_is_explained(server: TrainerServer, status: int, error: type[Exception]) -> None:
    server.refused = status
    with pytest.raises(error, match=str(status)):
        TrainJob("gan-1", Cluster()).ensure(MANIFEST, "run-1")


def test_the_report_deletes_the_trainjobs_of_its_run_only(server: TrainerServer, job: TrainJob) -> None:
    TrainJob("gan-2", Cluster()).ensure(MANIFEST, "run-2")
    assert delete_trainjobs("run-1") == "Deleted: TrainJob gan-1"
    assert list(server.jobs) == ["gan-2"]
    assert delete_trainjobs("run-1") == ""


def test_the_report_warns_about_trainjobs_that_it_cannot_delete(
    server: TrainerServer, job: TrainJob, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise TryAgain("Kubernetes answers 500 (x).")

    monkeypatch.setattr(TrainJob, "delete", away)
    assert delete_trainjobs("run-1") == ""
    assert "may go on until their deadline: Kubernetes answers 500" in capsys.readouterr().err


def test_outside_a_cluster_the_rule_is_said() -> None:
    with pytest.raises(InvalidInput, match="TrainJobs need a pod of a Kubernetes cluster"):
        Cluster()


def test_the_first_hosts_log_is_printed_once_also_after_a_restart(
    server: TrainerServer, job: TrainJob, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin() -> None:
        server.pods = [host(0, "a", 1), host(1, "b", 1)]
        server.logs = {"a": "one\n", "b": "of another host\n"}

    def grow() -> None:
        server.logs["a"] += "two\n"

    def restart() -> None:
        server.pods += [host(0, "c", 2)]
        server.logs["c"] = "resumed\n"

    server.script = [begin, grow, restart, lambda: server.condition("Complete", "AllJobsCompleted", "done")]
    follow(job, looks(5))
    assert capsys.readouterr().err == "one\ntwo\nresumed\n"


def test_what_a_host_waits_for_is_said_once(server: TrainerServer, job: TrainJob, caplog) -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    server.pods = [host(0, "a", 1, conditions=[unschedulable])]
    server.script = [lambda: None] * 3 + [lambda: server.condition("Complete", "AllJobsCompleted", "done")]
    with caplog.at_level("INFO"):
        follow(job, looks(5))
    assert caplog.messages == ["Host 0 waits. Unschedulable: 0/1 nodes"]


def test_a_queue_that_holds_the_trainjob_is_named(server: TrainerServer, job: TrainJob, caplog) -> None:
    server.condition("Suspended", "Suspended", "TrainJob is suspended")
    server.script = [lambda: None, lambda: server.condition("Complete", "AllJobsCompleted", "done")]
    with caplog.at_level("INFO"):
        follow(job, looks(3))
    assert caplog.messages == [
        "The TrainJob is suspended, as a queue does until it admits it. Suspended: TrainJob is suspended"
    ]


@pytest.mark.parametrize(
    ("exit_code", "log", "error", "message"),
    [
        (2, "error: The parameter is wrong.\nlast\n", InvalidInput, "exit code 2: The parameter is wrong."),
        (1, "start\nThe training diverged.\n", HostsFailed, "exit code 1: The training diverged."),
    ],
)
def test_a_failed_host_gives_its_sentence(server, job, exit_code, log, error, message) -> None:
    server.pods = [host(0, "a", 1), host(1, "b", 1, **ended(exit_code))]
    server.logs = {"b": log}
    server.condition("Failed", "FailedJobs", "jobset failed")
    with pytest.raises(error, match=f"^Host 1 ended with {message}$"):
        follow(job, looks(1))


def test_a_trainjob_that_failed_without_a_host_gives_its_reason(server: TrainerServer, job: TrainJob) -> None:
    server.condition("Failed", "DeadlineExceeded", "deadline exceeded")
    with pytest.raises(HostsFailed, match=r"gan-1 failed\. DeadlineExceeded: deadline exceeded"):
        follow(job, looks(1))


def test_a_deleted_trainjob_asks_for_another_try(server: TrainerServer, job: TrainJob) -> None:
    server.script = [lambda: None, server.jobs.clear]
    with pytest.raises(TryAgain, match="was deleted"):
        follow(job, looks(2))


def test_an_api_that_is_away_for_a_while_does_not_end_the_following(server, job, caplog) -> None:
    settings = job._cluster._objects.api_client.configuration
    address, settings.host = settings.host, "http://127.0.0.1:9"

    def pause(_: float) -> None:
        settings.host = address
        server.condition("Complete", "AllJobsCompleted", "done")

    follow(job, pause)
    assert "Kubernetes does not answer" in caplog.text
    assert "The TrainJob goes on" in caplog.text

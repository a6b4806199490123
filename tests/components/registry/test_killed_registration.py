"""Registrations that are killed after each change that they make on a real MLflow server, and then repeated."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from evaluations import evaluation, generator
from mlflow.models import Model
from postgres import Postgres
from registrations import CONFIG, MARKS, registry
from tracking_server import Proxy, TrackingServer

from components.registry import model_registry
from components.registry.registration import register
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.evaluation.protocol import Evaluation
from infra.local.services import postgres_programs

pytestmark = MARKS
needs_postgres = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[needs_postgres, pytest.mark.repetition])])
def server(request: pytest.FixtureRequest, tmp_path: Path, mlflow_database: Path) -> Iterator[TrackingServer]:
    """A server with an empty database of each kind."""
    if request.param == "sqlite":
        started = TrackingServer(tmp_path / "server", mlflow_database)
        started.start()
        yield started
        started.stop()
        return
    with Postgres(postgres_programs() or Path()) as postgres:
        postgres.query("postgres", "CREATE DATABASE mlflow")
        started = TrackingServer(tmp_path / "server", mlflow_database, postgres.uri("mlflow"))
        started.start()
        yield started
        started.stop()


def test_a_registration_that_is_killed_after_any_of_its_changes_can_be_repeated(
    server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after a request that only reads leaves the same state as a kill after the last change before it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    # One file for the registered model's eighty: each upload is a request of the same kind.
    monkeypatch.setattr(model_registry, "save_served_model", save_one_file)
    client = connect()
    killed, version = True, 0
    while killed:
        version += 1
        run_id = client.create_run(experiment_id(client)).info.run_id
        folder, scores = generator(Path(str(version)), run_id), evaluation(1e12 / 2**version, 0.0, run_id)
        killed = killed_registration(server, folder, scores, version, monkeypatch)
        record = register(CONFIG, folder, scores)
        champion = str(version - 1) if version > 1 else None
        assert (record["decision"], record["version"], record["champion"]) == ("champion", str(version), champion)
        assert registry() == ({"champion": str(version)}, version)
        models = client.search_logged_models([experiment_id(client)])
        assert [logged.status for logged in models if logged.source_run_id == run_id] == ["READY"]
        assert len(client.get_metric_history(run_id, "scores/fd_classifier")) == 1
        tags = client.get_registered_model("generator").tags
        assert not [key for key in tags if key.startswith("registering.")]
    assert version > 10


def save_one_file(folder: Path, model: Path, metadata: object, description: Model) -> None:
    folder.mkdir()
    (folder / "generator").write_bytes(b"weights")
    description.save(folder / "MLmodel")


def killed_registration(
    server: TrackingServer, folder: Path, scores: Evaluation, kill_after: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Registers in another process, which is killed when the server has carried out that many of its changes.

    Returns:
        False if the process made fewer changes.
    """
    changes = itertools.count(1)
    victim = 0

    def carried_out(method: str, path: str) -> None:
        if method != "GET" and not path.endswith("search") and next(changes) == kill_after:
            os.kill(victim, signal.SIGKILL)

    with Proxy(server.port, carried_out=carried_out) as proxy, monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", proxy.address)
        victim = os.fork()
        if victim == 0:
            try:
                register(CONFIG, folder, scores)
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(victim, 0)[1])

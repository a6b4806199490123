"""Registrations that are interrupted, or run at the same time, in a real registry."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from evaluations import evaluation, generator
from mlflow.exceptions import MlflowException
from registrations import CONFIG, MARKS, register_scores, registry
from tracking_server import Proxy, TrackingServer

from components.registry import model_registry, registration, registration_lock
from components.registry.registration import register
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.errors import TryAgain

ROOT = Path(__file__).resolve().parents[3]

pytestmark = MARKS


class Interrupted:
    """A client whose n-th call fails, before or after the server executes it."""

    def __init__(self, client: Any, calls: int, after: bool) -> None:
        self._client, self._after = client, after
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls -= 1
            if self.calls == 0 and not self._after:
                raise MlflowException("interrupted")
            answer = getattr(self._client, name)(*arguments, **options)
            if self.calls == 0:
                raise MlflowException("interrupted")
            return answer

        return call


@pytest.mark.parametrize("after", [False, True])
def test_a_registration_that_is_interrupted_at_any_call_can_be_repeated(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_scores("first", 1e12, 0.0)
    client = connect()
    calls, completed = 0, False
    while not completed:
        calls += 1
        run_id = client.create_run(experiment_id(client)).info.run_id
        folder, scores = generator(Path(str(calls)), run_id), evaluation(1e12 / 2**calls, 0.0, run_id)
        interrupted = Interrupted(connect(), calls, after)
        with monkeypatch.context() as patch:
            patch.setattr(registration, "connect", lambda: interrupted)  # noqa: B023
            with contextlib.suppress(TryAgain):
                register(CONFIG, folder, scores)
        completed = interrupted.calls > 0
        record = register(CONFIG, folder, scores)
        assert (record["decision"], record["version"], record["champion"]) == ("champion", str(calls + 1), str(calls))
        assert registry() == ({"champion": str(calls + 1)}, calls + 1)
        models = client.search_logged_models([experiment_id(client)])
        assert [logged.status for logged in models if logged.source_run_id == run_id] == ["READY"]
        assert len(client.get_metric_history(run_id, "scores/fd_classifier")) == 1
    assert calls > 10


def test_concurrent_registrations_of_one_generator_do_not_corrupt_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process considers this one dead and deletes its unfinished logged model."""
    save = model_registry.save_served_model

    def save_and_delete(*arguments: Any) -> None:
        save(*arguments)
        client = connect()
        experiment = client.get_experiment_by_name("gan-pipeline").experiment_id
        for logged in client.search_logged_models([experiment]):
            client.delete_logged_model(logged.model_id)

    monkeypatch.setattr(model_registry, "save_served_model", save_and_delete)
    model = generator(Path("a"))
    with pytest.raises(TryAgain, match="Another process is registering the same generator"):
        register(CONFIG, model, evaluation(10.0, 0.1, of=model))
    monkeypatch.setattr(model_registry, "save_served_model", save)
    assert register(CONFIG, model, evaluation(10.0, 0.1, of=model))["version"] == "1"


def test_a_registration_waits_for_one_that_is_moving_the_alias(
    mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The better of two generators becomes the champion, even if the alias call of the worse one arrives last."""

    def start(name: str, score: float, address: str) -> subprocess.Popen[bytes]:
        folder = Path(name)
        run_id = connect().create_run(experiment_id(connect())).info.run_id
        generator(folder / "model", run_id)
        (folder / "params.yaml").write_text(yaml.safe_dump({"register": {**CONFIG.model_dump(), "model_name": "race"}}))
        (folder / "scores.json").write_text(evaluation(score, 0.0, run_id).model_dump_json())
        command = [sys.executable, "-m", "components.register", "--config", "params.yaml", "--model", "model"]
        command += ["--scores", "scores.json", "--registration", "registration.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": address}
        environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "600"  # the held call must not time out and be repeated
        return subprocess.Popen(command, cwd=folder, env=environment)

    def count_decisions() -> int:
        versions = connect().search_model_versions("name = 'race'")
        return sum("decision" in version.tags for version in versions)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "race")
    with Proxy(mlflow_server.port, holds=lambda method, path: method == "POST" and "/alias" in path) as proxy:
        worse = start("worse", 100.0, proxy.address)
        while not proxy.held.wait(0.1):
            assert worse.poll() is None
        better = start("better", 50.0, mlflow_server.address)
        while len(tickets("race")) < 2 and better.poll() is None:
            time.sleep(0.1)
        assert count_decisions() == 1
        proxy.released.set()
        assert (worse.wait(), better.wait()) == (0, 0)
    record = json.loads(Path("better/registration.json").read_text())
    assert (record["decision"], record["champion"]) == ("champion", "1")
    assert connect().get_registered_model("race").aliases == {"champion": record["version"]}
    assert not tickets("race")


def tickets(model: str) -> dict[str, str]:
    return {k: v for k, v in connect().get_registered_model(model).tags.items() if k.startswith("registering.")}


def test_a_registration_waits_a_limited_time_for_a_dead_lock_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registration_lock, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(registration_lock, "POLL_SECONDS", 0.1)
    client = connect()
    client.create_registered_model("generator", {"registering.sha256-a.1": "7", "registering.sha256-b.1": "choosing"})
    assert register_scores("first", 100.0, 3.0)["decision"] == "champion"
    assert not tickets("generator")

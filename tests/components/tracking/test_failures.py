"""Errors of MLflow's address, experiment, run or database are reported before a training, in one sentence."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import self_signed
from datasets import blobs, write_dataset
from evaluations import evaluation, generator, register_config
from local_servers import QuietHandler, serving
from recipes import small_parameters

from components import train
from components.registry.registration import register
from components.registry.warm_start import find_initial
from components.tracking import database
from components.tracking.runs import experiment_id
from components.tracking.server import check_destination, connect
from gan_core.errors import InvalidInput, TryAgain

CONFIG = register_config("generator")
LOGIN = b"<html>\n<title>Sign in</title>"


@pytest.fixture(autouse=True)
def quick(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(database, "LOCKED_SECONDS", 0.1)


class _Answers(QuietHandler):
    """Answers `/page/<status>/…` with that status and an HTML page, and `/json/<status>/…` with a JSON object."""

    def do_GET(self) -> None:
        kind, status, *_ = self.path.strip("/").split("/")
        self.send_response(int(status))
        if status == "302":
            self.send_header("Location", "/page/200/")
        self.end_headers()
        self.wfile.write(b'{"detail": "Not Found"}' if kind == "json" else LOGIN)

    do_POST = do_GET  # noqa: N815


@contextlib.contextmanager
def _answering(certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers), certificate) as server:
        yield f"127.0.0.1:{server.server_port}"


def assert_one_sentence(error: type[Exception], message: str, caplog: pytest.LogCaptureFixture) -> None:
    """Checks that registration and a warm start fail, and also the check before a training unless it is TryAgain."""
    for call in (
        lambda: register(CONFIG, Path("generator"), evaluation(1.0, 0.0)),
        lambda: find_initial("models:/generator@champion"),
        check_destination,
    ):
        caplog.clear()
        if error is TryAgain and call is check_destination:
            check_destination()
            continue
        with pytest.raises(error, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("page/401", InvalidInput, "Set MLFLOW_TRACKING_USERNAME"),
        ("json/403", InvalidInput, "another program answers"),
        ("page/403", InvalidInput, "Set MLFLOW_TRACKING_USERNAME"),
        ("page/404", InvalidInput, "another program answers"),
        ("json/404", InvalidInput, "another program answers"),
        ("page/400", InvalidInput, "another program answers"),
        ("page/200", InvalidInput, "a login page"),
        ("page/302", InvalidInput, "a login page"),
        ("page/429", TryAgain, "Run the same command again"),
        ("json/503", TryAgain, "Run the same command again"),
        ("page/500", TryAgain, "Run the same command again"),
    ],
)
def test_an_answer_that_is_not_mlflows_gives_one_sentence(
    path: str,
    error: type[Exception],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    generator(Path("generator"))
    with _answering() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{server}/{path}")
        assert_one_sentence(error, message, caplog)


def test_an_untrusted_or_missing_certificate_gives_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    generator(Path("generator"))
    for certificate in (self_signed(tmp_path), None):
        with _answering(certificate) as server:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://{server}/page/200")
            assert_one_sentence(InvalidInput, "certificate must be trusted", caplog)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("./mlruns", "Use sqlite:///mlflow.db"),
        ("file:./mlruns", "Use sqlite:///mlflow.db"),
        ("mlflow.db", "Use sqlite:///mlflow.db"),
        ("localhost:5000", "Use sqlite:///mlflow.db"),
        ("gs://bucket/mlflow", "Use sqlite:///mlflow.db"),
        ("http:/host", "must have a host"),
        ("http://host:port", "must have a host"),
        ("http://[::1", "must have a host"),
        ("https://", "must have a host"),
        ("sqlite://", "must name a file"),
        ("sqlite:///a-file/mlflow.db", "must be in writable folders|must be a folder, but .*a-file is a file"),
        ("sqlite:////proc/x/mlflow.db", "must be in writable folders|must be writable"),
        ("sqlite:///a-folder", "file and folder must exist and be writable"),
        ("mysql://a:b@127.0.0.1/x", "Install the package"),
        ("databricks", "Databricks needs its own configuration"),
    ],
)
def test_an_invalid_address_gives_one_sentence(
    address: str, message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    generator(Path("generator"))
    Path("a-file").touch()
    Path("a-folder").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert_one_sentence(InvalidInput, message, caplog)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        ("zeros", InvalidInput, "Restore the database from a backup"),
        ("cut", InvalidInput, "Restore the database from a backup"),
        ("old", InvalidInput, "run `mlflow db upgrade`"),
        ("locked", TryAgain, "database is locked"),
    ],
)
def test_a_database_that_cannot_be_read_gives_one_sentence(
    damage: str, error: type[Exception], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    generator(Path("generator"))
    database = Path("mlflow.db")
    content = database.read_bytes()
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        if damage == "zeros":
            database.write_bytes(bytes(len(content)))
        elif damage == "cut":
            database.write_bytes(content[: len(content) // 2])
        elif damage == "old":
            connection.execute("UPDATE alembic_version SET version_num = 'cbc13b556ace'")
        else:
            connection.execute("BEGIN EXCLUSIVE")
        assert_one_sentence(error, message, caplog)


def test_a_missing_experiment_or_run_gives_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    for number in ("77", "abc"):
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_EXPERIMENT_ID", number)
            with pytest.raises(InvalidInput, match=f"must be the number of an existing experiment. Received: {number}"):
                check_destination()
    run_id = client.create_run(experiment_id(client)).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    check_destination()
    client.delete_run(run_id)
    for name in (run_id, "0" * 32, "no/../run"):
        monkeypatch.setenv("MLFLOW_RUN_ID", name)
        with pytest.raises(InvalidInput, match=f"must name an existing run.* Received: {name}"):
            check_destination()
    monkeypatch.delenv("MLFLOW_RUN_ID")
    client.create_experiment("of a server", artifact_location="mlflow-artifacts:/5")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of a server")
    with pytest.raises(InvalidInput, match="through an MLflow server"):
        check_destination()
    Path("a-file").touch()
    client.create_experiment("below a file", artifact_location=(Path.cwd() / "a-file" / "artifacts").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "below a file")
    with pytest.raises(InvalidInput, match=r"must be a folder, but .*a-file is a file"):
        check_destination()


def test_a_deleted_experiment_is_refused_before_the_training(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    client.delete_experiment(experiment_id(client))
    generator(Path("generator"))
    write_dataset(project / "data", blobs(8), blobs(2, seed=1))
    options = ["--config", json.dumps(small_parameters()), "--dataset", "data", "--checkpoints", "checkpoints"]
    outputs = ["--model", "model", "--history", "h.csv", "--samples", "s.png"]
    monkeypatch.setattr(sys, "argv", ["train", *options, *outputs])
    monkeypatch.setattr(train, "configure_tensorflow", lambda: pytest.fail("the training began"))
    message = "experiments restore --experiment-id 1`.* Received: gan-pipeline"
    with pytest.raises(InvalidInput, match=message):
        train.main()
    with pytest.raises(InvalidInput, match=message):
        register(CONFIG, Path("generator"), evaluation(1.0, 0.0))


def test_an_empty_file_becomes_a_database(project: Path) -> None:
    shutil.move(project / "mlflow.db", project / "away.db")
    (project / "mlflow.db").touch()
    assert experiment_id(connect())

"""Runs the MLflow server of infra/mlflow with its manifest's commands and probes, on PostgreSQL and a bucket."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import yaml
from datasets import blobs, write_dataset
from gcp_storage_emulator.server import create_server
from manifests import INFRA, ROOT, Objects
from postgres import Postgres
from recipes import project_parameters

from components.tracking.tracker import TrainingTracker
from gan_core.data.prepared import PreparedDataset
from gan_core.export import generator_digest
from infra.local.services import free_port, postgres_programs

pytest.importorskip("psycopg", reason="psycopg is not installed: it is in infra/mlflow/requirements.txt")
pytestmark = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
)

TRAININGS = 3


def container(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (item,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    spec = item["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else item["spec"]
    (found,) = spec["template"]["spec"]["containers"]
    result: dict[str, Any] = found
    return result


def environment(container: dict[str, Any], database: str) -> dict[str, str]:
    """Returns the container's variables with the secret's value, and the variables that every process needs."""
    variables = {entry["name"]: entry.get("value", database) for entry in container["env"]}
    keep = {name: os.environ[name] for name in ("PYTHONPATH", "STORAGE_EMULATOR_HOST") if name in os.environ}
    return {**variables, **keep, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}


def command(container: dict[str, Any], variables: dict[str, str]) -> list[str]:
    """Returns the container's command line. Like Kubernetes, it replaces $(NAME)."""
    line = [*container["command"], *container["args"]]
    return [re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], word) for word in line]


class Server:
    """The manifest's server, with only its own address replaced."""

    def __init__(self, container: dict[str, Any], database: str, folder: Path) -> None:
        self.container = container
        self.port = free_port()
        self._variables = {**environment(container, database), "HOME": str(folder)}
        self._folder = folder

    def start(self, hosts: str | None = None) -> None:
        line = command(self.container, self._variables)
        replaced = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={self.port}",
            "--workers=2": "--workers=1",
        }
        assert replaced.keys() <= set(line)
        line = [replaced.get(word, word).replace("localhost:5000", f"127.0.0.1:{self.port}") for word in line]
        if hosts:
            line = [re.sub("^--allowed-hosts=.*", f"--allowed-hosts={hosts}", word) for word in line]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                line, cwd=self._folder, env=self._variables, stdout=log, stderr=log, start_new_session=True
            )
        while self.probe("livenessProbe") is None:
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def probe(self, name: str) -> int | None:
        """Returns the status that the kubelet would get from the manifest's probe; None without an answer."""
        request = self.container[name]["httpGet"]
        headers = {header["name"]: header["value"] for header in request.get("httpHeaders", [])}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.container[name]["timeoutSeconds"])
        try:
            connection.request("GET", request["path"], headers=headers)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


@pytest.fixture(scope="module")
def objects(render: Callable[..., Objects]) -> Objects:
    return render("gke")


@pytest.fixture(scope="module")
def buckets(objects: Objects) -> Iterator[dict[str, str]]:
    """Emulates Google Cloud Storage with the manifests' buckets; yields the roots of artifacts and backups."""
    kinds = {"ARTIFACT_ROOT": ("Deployment", "mlflow"), "BACKUP_ROOT": ("CronJob", "mlflow-backup")}
    roots = {
        variable: next(e["value"] for e in container(objects, *names)["env"] if e["name"] == variable)
        for variable, names in kinds.items()
    }
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        from google.cloud import storage

        for root in roots.values():
            storage.Client().create_bucket(root.split("/")[2])
        yield roots
    server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL with an empty database."""
    found = postgres_programs()
    assert found
    with Postgres(found) as server:
        server.query("postgres", "CREATE DATABASE mlflow")
        yield server


@pytest.fixture(scope="module")
def server(
    objects: Objects, postgres: Postgres, buckets: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server on the empty database, in which it creates MLflow's tables."""
    folder = tmp_path_factory.mktemp("server")
    started = Server(container(objects, "Deployment", "mlflow"), postgres.uri("mlflow"), folder)
    started.start()
    yield started
    started.stop()


@pytest.mark.usefixtures("server")
def test_the_server_creates_its_tables_and_the_upgrade_job_keeps_them(
    objects: Objects, postgres: Postgres, tmp_path: Path
) -> None:
    version = postgres.query("mlflow", "SELECT version_num FROM alembic_version")
    upgrade = container(objects, "CronJob", "mlflow-upgrade")
    variables = environment(upgrade, postgres.uri("mlflow"))
    subprocess.run(command(upgrade, variables), env=variables, cwd=tmp_path, check=True)
    assert postgres.query("mlflow", "SELECT version_num FROM alembic_version") == version
    assert postgres.query("mlflow", "SELECT to_regclass('registered_models')") == "registered_models"


def test_the_probes_pass(server: Server) -> None:
    assert [server.probe(name) for name in ("startupProbe", "readinessProbe", "livenessProbe")] == [200, 200, 200]


@pytest.mark.usefixtures("server")
def test_the_readiness_probe_notices_that_clients_are_refused(
    objects: Objects, postgres: Postgres, tmp_path: Path
) -> None:
    refusing = Server(container(objects, "Deployment", "mlflow"), postgres.uri("mlflow"), tmp_path)
    refusing.start(hosts="mlflow.example.com")
    try:
        assert refusing.probe("readinessProbe") == 403
        assert refusing.probe("livenessProbe") == 200  # the liveness probe does not notice it
    finally:
        refusing.stop()


@pytest.fixture(scope="module")
def registered(server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Three simultaneous trainings that each register a generator; returns the records of the decisions."""
    folder = tmp_path_factory.mktemp("trainings")
    dataset = write_dataset(folder / "prepared", blobs(64), blobs(32, seed=1), classes=2)
    variables = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}", "PYTHONPATH": _path()}
    params = project_parameters()
    params["train"] |= {"steps": 2, "batch_size": 8, "generator_width": 4, "discriminator_width": 4}

    together = Barrier(TRAININGS)

    def run(*arguments: str | Path) -> None:
        line = [sys.executable, "-m", *map(str, arguments)]
        result = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    def train_and_register(seed: int) -> dict[str, Any]:
        own = folder / str(seed)
        own.mkdir()
        (own / "params.yaml").write_text(yaml.safe_dump(params | {"train": params["train"] | {"seed": seed}}))
        places = {name: own / name for name in ("checkpoints", "model", "history", "samples")}
        options = [word for name, path in places.items() for word in (f"--{name}", path)]
        run("components.train", "--config", own / "params.yaml", "--dataset", dataset, *options)
        (own / "scores.json").write_text(json.dumps(_evaluation(own / "model", score=10.0 - 2 * seed)))
        record = own / "registration.json"
        places = {"model": own / "model", "scores": own / "scores.json", "registration": record}
        options = [word for name, path in places.items() for word in (f"--{name}", path)]
        together.wait(timeout=600)
        run("components.register", "--config", own / "params.yaml", *options)
        found: dict[str, Any] = json.loads(record.read_text())
        return found

    with ThreadPoolExecutor(TRAININGS) as pool:
        return list(pool.map(train_and_register, range(TRAININGS)))


def _path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _evaluation(model: Path, score: float) -> dict[str, Any]:
    generator = json.loads((model / "generator.json").read_text())
    return {
        "format": 1,
        "scores": {"fd_classifier": score},
        "spread": {"fd_classifier": 0.01},
        "standard_errors": {"fd_classifier": 0.01},
        "warnings": [],
        "protocol": {
            "extractor": "classifier",
            "extractor_digest": "sha256-0",
            "resize": "none",
            "reference": "held_out",
            "reference_digest": generator["dataset_digest"],
            "reference_count": 32,
            "samples": 32,
            "sampling_seeds": [0, 1],
            "kid_subsets": 1,
            "kid_subset_size": 2,
        },
        "images_seen": generator["images_seen"],
        "dataset_digest": generator["dataset_digest"],
        "tracking_run_id": generator["tracking_run_id"],
        "generator_digest": generator_digest(model),
    }


def test_concurrent_trainings_lose_no_run_and_have_one_champion(
    registered: list[dict[str, Any]], postgres: Postgres, buckets: dict[str, str]
) -> None:
    assert postgres.query("mlflow", "SELECT count(*) FROM runs WHERE status = 'FINISHED'") == str(TRAININGS)
    (name,) = {record["name"] for record in registered}
    assert name.startswith("synthetic-")
    numbers = f"SELECT string_agg(version::text, ' ' ORDER BY version) FROM model_versions WHERE name = '{name}'"
    assert postgres.query("mlflow", numbers) == "1 2 3"
    champions = postgres.query("mlflow", "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'")
    best = min(registered, key=lambda record: float(record["score"]))
    assert champions == f"{name}|{best['version']}"
    assert postgres.query("mlflow", "SELECT string_agg(name, ' ') FROM registered_models") == name
    assert postgres.query("mlflow", "SELECT count(*) FROM registered_model_tags") == "0"
    places = postgres.query("mlflow", "SELECT artifact_location FROM logged_models").splitlines()
    assert len(places) == TRAININGS
    assert all(place.startswith(buckets["ARTIFACT_ROOT"]) for place in places)


def test_concurrent_trainings_on_new_data_all_have_a_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.port}")
    prepared = write_dataset(tmp_path / "prepared", blobs(8), blobs(4, seed=1))
    manifest = PreparedDataset(prepared).manifest
    together = Barrier(4)

    def run_id(number: int) -> str | None:
        dataset = manifest.model_copy(update={"digest": f"sha256-{number // 4}"})
        tracker = TrainingTracker(tmp_path / str(number), parameters={}, tags={}, dataset=dataset)
        together.wait(timeout=60)
        with tracker:
            return tracker.run_id

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run_id, range(40)))
    assert None not in found
    assert len(set(found)) == 40


def test_a_backup_can_be_restored(
    registered: list[dict[str, Any]], objects: Objects, postgres: Postgres, buckets: dict[str, str], tmp_path: Path
) -> None:
    backup = container(objects, "CronJob", "mlflow-backup")
    variables = {**environment(backup, postgres.uri("mlflow")), "HOME": str(tmp_path)}
    line = [
        str(INFRA / "mlflow/backup.py") if word == "/opt/backup.py" else word for word in command(backup, variables)
    ]
    subprocess.run(line, env=variables, cwd=tmp_path, check=True)

    from google.cloud import storage

    bucket, _, prefix = buckets["BACKUP_ROOT"].removeprefix("gs://").partition("/")
    (blob,) = storage.Client().list_blobs(bucket, prefix=f"{prefix}/mlflow-")
    blob.download_to_filename(tmp_path / "mlflow.dump")
    postgres.query("postgres", "CREATE DATABASE restored")
    postgres.restore(tmp_path / "mlflow.dump", "restored")
    for table in ("runs", "metrics", "params", "model_versions", "registered_model_aliases"):
        rows = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
        assert postgres.query("restored", rows) == postgres.query("mlflow", rows), table
    assert int(postgres.query("restored", "SELECT count(*) FROM metrics")) > 0


def test_the_champion_is_served_by_the_runtimes_own_command(
    registered: list[dict[str, Any]],
    objects: Objects,
    server: Server,
    buckets: dict[str, str],
    tmp_path: Path,
) -> None:
    """Like KServe's storage initializer, the test copies storageUri to /mnt/models."""
    from google.cloud import storage
    from mlflow import MlflowClient

    client = MlflowClient(f"http://127.0.0.1:{server.port}")
    champion = client.get_model_version_by_alias(registered[0]["name"], "champion")
    uri = client.get_model_version_download_uri(champion.name, champion.version)
    assert uri.startswith(buckets["ARTIFACT_ROOT"] + "/")
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    for blob in storage.Client().list_blobs(bucket, prefix=prefix + "/"):
        target = tmp_path / "models" / blob.name.removeprefix(prefix + "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(target)

    (runtime,) = next(item for item in objects if item["kind"] == "ServingRuntime")["spec"]["containers"]
    port = free_port()
    replaced = {
        "--model-uri=/mnt/models": f"--model-uri={tmp_path / 'models'}",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=8080": f"--port={port}",
    }
    assert replaced.keys() <= set(runtime["args"])
    line = [replaced.get(word, word) for word in [*runtime["command"], *runtime["args"]]]
    variables = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=tmp_path, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        while _request(port, "GET", runtime["readinessProbe"]["httpGet"]["path"])[0] != 200:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        question = {"dataframe_records": [{"count": 2, "seed": 0, "truncation": 1.0}]}
        status, answer = _request(port, "POST", "/invocations", json.dumps(question))
        assert status == 200, answer
        assert np.array(json.loads(answer)["predictions"]).shape == (2, 16, 16, 1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _request(port: int, method: str, path: str, body: str | None = None) -> tuple[int | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return None, b""
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("root", "database"),
    [("s3://bucket/x", "postgresql://h/d"), ("gs://b", "postgresql://h/d"), ("gs://b/x", "mysql://h")],
)
def test_the_backup_refuses_invalid_settings(root: str, database: str) -> None:
    line = [sys.executable, str(INFRA / "mlflow/backup.py"), root]
    variables = {**os.environ, "MLFLOW_BACKEND_STORE_URI": database}
    result = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert database not in result.stderr


def test_without_a_database_the_server_is_not_ready_but_still_alive(
    registered: list[dict[str, Any]], server: Server, postgres: Postgres
) -> None:
    """This must be the last test of the file, because it stops the database."""
    postgres.stop()
    assert server.probe("readinessProbe") in (None, 500, 503)
    assert server.probe("livenessProbe") == 200

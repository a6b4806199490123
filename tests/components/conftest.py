"""An empty project with an MLflow database, a shared MLflow server, a bucket, and data to evaluate."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from evaluate_runs import Workspace, make_workspace, run_process
from storage_emulator import storage_emulator
from storage_proxy import StorageProxy
from tracking_server import TrackingServer, empty_database


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with empty tables, which other fixtures copy."""
    return empty_database(tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[TrackingServer]:
    """A running server. Each test uses its own experiment."""
    server = TrackingServer(tmp_path_factory.mktemp("server"), mlflow_database)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def project(tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as working directory, with an embedded database and none of this machine's MLflow settings."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The value of STORAGE_EMULATOR_HOST of a storage emulator."""
    with storage_emulator() as host:
        yield host


@pytest.fixture
def proxy(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageProxy]:
    """A proxy before the emulator. Google Cloud Storage's client in this process connects to the proxy."""
    with StorageProxy(emulator).running() as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.host)
        yield proxy


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Data and generators to evaluate. The session shares them, because the classifier is trained only once."""
    return make_workspace(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="session")
def process(workspace: Workspace) -> subprocess.CompletedProcess[str]:
    """The evaluate command, which ran in a separate process."""
    return run_process(workspace)

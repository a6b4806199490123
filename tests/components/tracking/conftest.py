"""Fixtures for tests of the tracker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import blobs, write_dataset
from tracking_server import TrackingServer

from components.tracking import tracker as module
from gan_core.data.manifest import Manifest
from gan_core.data.prepared import PreparedDataset


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data") / "prepared"
    return PreparedDataset(write_dataset(folder, blobs(6), blobs(2, seed=1), classes=2)).manifest


@pytest.fixture
def quick(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends records at once, and does not repeat failed requests."""
    monkeypatch.setattr(module, "SEND_EVERY_SECONDS", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def own_server(project: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    """A server that the test starts and stops."""
    server = TrackingServer(project / "server", mlflow_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    yield server
    server.stop()

"""Fixtures: a running server, and pipelines that are compiled once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubeflow_server import KubeflowServer
from local_servers import serving

from pipelines.__main__ import main

IMAGE = "registry.example.com/gan-pipeline@sha256:" + "0" * 64
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    monkeypatch.delenv("KF_PIPELINES_TOKEN", raising=False)
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with serving(KubeflowServer()) as running:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", running.host)
        yield running


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training pipeline, for ordinary nodes."""
    output = tmp_path_factory.mktemp("compiled") / "training.yaml"
    main(
        [
            *("compile", "training", "--image", IMAGE, "--output", str(output)),
            *("--profile", str(ROOT / "infra/profiles/cpu.yaml"), "--params", str(ROOT / "params.yaml")),
        ]
    )
    return output


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with one commit, as the working directory."""
    folder = tmp_path / "repository"
    folder.mkdir()
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    monkeypatch.chdir(folder)
    return folder

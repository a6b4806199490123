"""The Dockerfile and the requirements of the MLflow server's image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from manifests import INFRA, ROOT

FOLDER = INFRA / "mlflow"


def locked(path: Path) -> list[tuple[str, str]]:
    """Returns names and versions. A package appears more than once if machines need different versions."""
    return re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[\w,]+\])?==([^\s;]+)", path.read_text())


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_server_and_its_clients_have_the_same_locked_versions() -> None:
    server, clients = locked(FOLDER / "requirements.txt"), locked(ROOT / "requirements-dev.txt")
    assert {"mlflow", "psycopg", "google-cloud-storage", "sqlalchemy"} <= {name for name, _ in server}
    shared = {name for name, _ in clients}
    assert [entry for entry in server if entry[0] in shared and entry not in clients] == []


def test_every_requirement_has_its_hash() -> None:
    entries = re.split(r"(?m)^(?=[a-z0-9])", (FOLDER / "requirements.txt").read_text())[1:]
    assert len(entries) == len(locked(FOLDER / "requirements.txt"))
    assert all("--hash=sha256:" in entry for entry in entries)

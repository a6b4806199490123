"""Fixtures for all tests, and the check that tests leave no files in the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Every command sets this before it imports TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).resolve().parent.parent

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def _untracked() -> set[str]:
    listing = ["git", "-C", str(ROOT), "ls-files", "--others", "--directory", "--exclude=__pycache__/", "--exclude=.*"]
    return set(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.fixture(scope="session", autouse=True)
def _tree_stays_clean() -> Iterator[None]:
    """Fails the session when the tests leave files behind in the project's tree."""
    before = _untracked()
    yield
    assert _untracked() <= before, f"the tests left files behind: {sorted(_untracked() - before)}"


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Restores the environment and MLflow's addresses, because MLflow stores an address in both."""
    before = dict(os.environ)
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)

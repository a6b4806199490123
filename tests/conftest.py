"""Fixtures for all tests, and the check that tests leave no files in the tree."""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Every command sets this before it imports TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).resolve().parent.parent

# kfp reads the whole stack for each option of a task. For a frame without a file, inspect searches all modules, and a
# worker of xdist has two such frames. Without this entry, they take most of the time of a compilation.
inspect.modulesbyfile["<string>"] = __name__

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


@pytest.fixture(scope="module", autouse=True)
def _collections_stay_fast() -> Iterator[None]:
    """Makes a garbage collection look only at the objects of one test file, and not at millions of earlier ones."""
    gc.freeze()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # clients leave cut connections to the garbage collector
        gc.collect()


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

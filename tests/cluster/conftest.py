"""What the tests on a real Kubeflow share. docs/cluster-tests.md says how to run them and what their last run showed.

TEST_CLUSTER_CONTEXT      the current context of kubectl: it says that this cluster may be disturbed
TEST_CLUSTER_IMAGE        the project's image, by digest
TEST_CLUSTER_PROFILE      the profile that the tests change (infra/profiles/small.yaml)
TEST_CLUSTER_HOST         an address of this machine that pods reach, for tests with an emulated bucket
KF_PIPELINES_ENDPOINT     Kubeflow's API, by a port-forward that starts again after the server was away
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cluster_bucket import Bucket, emulated_bucket
from followed_run import FollowedRun, compile_pipeline, new_seed, overrides, write_profile
from kubectl import NAMESPACE

Start = Callable[..., FollowedRun]

LABEL = "gan-pipeline/test-cluster=true"
REASON = (
    "these tests delete pods and fill quotas: TEST_CLUSTER_CONTEXT must equal kubectl's current context, and its "
    f"namespace {NAMESPACE} must have the label {LABEL}"
)


@pytest.fixture(scope="session", autouse=True)
def _cluster_may_be_disturbed() -> None:
    wanted = os.environ.get("TEST_CLUSTER_CONTEXT")
    if not wanted or wanted != _kubectl("config", "current-context"):
        pytest.skip(REASON)
    if _kubectl("get", "namespaces", "--selector", LABEL, "--output", "name").find(f"namespace/{NAMESPACE}") < 0:
        pytest.skip(REASON)


def _kubectl(*arguments: str) -> str:
    try:
        return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@pytest.fixture(scope="session")
def image() -> str:
    return os.environ["TEST_CLUSTER_IMAGE"]


@pytest.fixture
def start(image: str, tmp_path: Path) -> Iterator[Start]:
    """Starts and follows a run with overrides, of a pipeline compiled with changes to the profile.

    A run that has not ended at the test's end is cancelled.
    """
    runs: list[FollowedRun] = []

    def begin(
        *values: str,
        kind: str = "training",
        image: str = image,
        compiled_with: Sequence[str] = (),
        options: Sequence[str] = (),
        **changes: Any,
    ) -> FollowedRun:
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        profile = write_profile(folder, **changes)
        compiled = compile_pipeline(kind, image, profile, *compiled_with)
        runs.append(FollowedRun(compiled, profile, folder / "run.log", *overrides(values), *options))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    address = os.environ.get("TEST_CLUSTER_HOST")
    if not address:
        pytest.skip("TEST_CLUSTER_HOST must be an address of this machine that the cluster's pods reach")
    with emulated_bucket(address, tmp_path_factory.mktemp("raw")) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def first_seed() -> str:
    return new_seed()


@pytest.fixture(scope="session")
def first_run(image: str, first_seed: str, tmp_path_factory: pytest.TempPathFactory) -> FollowedRun:
    """A run that trains, evaluates and registers. Its training is a new one, whatever an earlier session left."""
    folder = tmp_path_factory.mktemp("first")
    profile = write_profile(folder)
    compiled = compile_pipeline("training", image, profile)
    run = FollowedRun(compiled, profile, folder / "run.log", *overrides([first_seed]))
    run.succeeded()
    return run

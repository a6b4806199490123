"""A published version, a run of it, and a schedule that fires, changes, pauses and is deleted."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from followed_run import ROOT, compile_pipeline, new_seed, overrides, pipelines, wait_for_state, write_profile
from kubectl import NAMESPACE, wait_for

from pipelines.server import connected, pages

OWNER = NAME = "cluster-test"


@dataclass(frozen=True)
class Published:
    """A version on the server, and the profile that it was compiled with."""

    pipeline: str
    version: str
    profile: Path
    said: list[str]


@pytest.fixture(scope="module")
def published(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A version that is published twice from a clean clone."""
    folder = tmp_path_factory.mktemp("published")
    profile = write_profile(folder)
    compiled = compile_pipeline("training", image, profile, *overrides([new_seed()]))
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    said = [pipelines("publish", str(compiled), folder=folder / "clone").splitlines()[-1] for _ in range(2)]
    _, pipeline, version = said[0].split()
    yield Published(pipeline, version, profile, said)
    with connected(None, NAMESPACE) as client:
        identity = client.get_pipeline_id(pipeline)
        for found in list(pages(client.list_pipeline_versions, "pipeline_versions", pipeline_id=identity)):
            client.delete_pipeline_version(identity, found.pipeline_version_id)
        client.delete_pipeline(identity)


def test_publishing_again_changes_nothing(published: Published) -> None:
    assert published.said == [
        f"Published {published.pipeline} {published.version}",
        f"{published.pipeline} {published.version} is already published",
    ]


def test_a_published_version_runs(published: Published) -> None:
    place = ["--pipeline", published.pipeline, "--version", published.version, "--profile", str(published.profile)]
    said = pipelines("submit", *place)
    wait_for_state(said.rpartition("/")[2].strip(), "SUCCEEDED")


def test_a_schedule_fires_changes_pauses_and_is_deleted(published: Published, tmp_path: Path) -> None:
    def apply(**changes: Any) -> list[str]:
        schedule = {
            "name": NAME,
            "pipeline": published.pipeline,
            "version": published.version,
            "experiment": "Default",
            "service_account": yaml.safe_load(published.profile.read_text())["service_account"],
            "cron": "0 * * * * *",
            "enabled": True,
        }
        declared = [schedule | changes] if changes != {"name": None} else []
        file = tmp_path / "schedules.yaml"
        file.write_text(yaml.safe_dump({"owner": OWNER, "time_zone": "UTC", "schedules": declared}))
        said = pipelines("schedule", "apply", str(file)).splitlines()
        return said[:-1] if declared else said

    try:
        assert apply() == [f"{NAME}: created, paused", f"{NAME}: enabled"]
        assert apply() == []
        fired = wait_for("a run of the schedule", lambda: _runs_of(_recurring()[0].recurring_run_id), 150)
        assert apply(cron="30 * * * * *") == [
            f"{NAME}: created, paused",
            f"{NAME}: the old one disabled",
            f"{NAME}: enabled",
            f"{NAME}: the old one removed",
        ]
        wait_for_state(fired[0].run_id, "SUCCEEDED")
        (changed,) = _recurring()
        wait_for("a run of the changed schedule", lambda: _runs_of(changed.recurring_run_id), 150)
        assert apply(cron="30 * * * * *", enabled=False) == [f"{NAME}: disabled"]
        before = _runs_of(changed.recurring_run_id)
        for run in before:
            wait_for_state(run.run_id, "SUCCEEDED")
        time.sleep(70)
        assert len(_runs_of(changed.recurring_run_id)) == len(before)
    finally:
        removed = apply(name=None)
    assert removed == [f"{NAME}: removed, it is no longer declared"]
    assert _recurring() == []


def _recurring() -> list[Any]:
    with connected(None, NAMESPACE) as client:
        return [run for run in pages(client.list_recurring_runs, "recurring_runs") if run.display_name == NAME]


def _runs_of(recurring_run: str) -> list[Any]:
    with connected(None, NAMESPACE) as client:
        newest = client.list_runs(page_size=50, sort_by="created_at desc").runs or []
    return [run for run in newest if run.recurring_run_id == recurring_run]

"""The server's schedules after `apply`, and after an `apply` that was interrupted at any call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_server import KubeflowServer
from test_command_line import refused, run

from tests.pipelines.conftest import ROOT

WEEKLY = {
    "name": "weekly",
    "pipeline": "gan-training-cpu",
    "experiment": "Default",
    "service_account": "gan-training",
    "cron": "0 0 3 * * 1",
    "enabled": True,
}


@pytest.fixture(scope="session")
def stored(compiled: Path) -> dict[str, Any]:
    """The compiled pipeline in the form that the server stores."""
    pipeline, platform = yaml.safe_load_all(compiled.read_text())
    return {"pipeline_spec": pipeline, "platform_spec": platform}


@pytest.fixture
def version(server: KubeflowServer, stored: dict[str, Any]) -> str:
    pipeline = server.add("pipelines", {"display_name": "gan-training-cpu"})
    named = {"display_name": "git-0123456789ab", "pipeline_id": pipeline["pipeline_id"], "pipeline_spec": stored}
    return server.add("versions", named)["display_name"]


def declare(folder: Path, *schedules: dict[str, Any], **keys: Any) -> str:
    path = folder / "schedules.yaml"
    path.write_text(yaml.safe_dump({"owner": "gan-pipeline", "time_zone": "UTC", "schedules": list(schedules)} | keys))
    return str(path)


def current_schedules(server: KubeflowServer) -> list[tuple[str, str, str, Any]]:
    """Returns name, cron expression, status and changed number of steps of every recurring run on the server."""
    return sorted(
        (
            run["display_name"],
            run["trigger"]["cron_schedule"]["cron"],
            run["status"],
            run.get("runtime_config", {}).get("parameters", {}).get("train", {}).get("steps"),
        )
        for run in server.recurring.values()
    )


def changes(server: KubeflowServer) -> list[str]:
    """Returns the calls that changed something, without identifiers."""
    return [
        f"{method} {path.split('/')[1]}{path[path.find(':') :] if ':' in path else ''}"
        for method, path, _ in server.calls
    ]


def test_a_new_schedule_is_created_paused_then_enabled(capsys, server, version, tmp_path) -> None:
    code, out, _ = run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}))
    assert code == 0
    assert changes(server) == ["POST recurringruns", "POST recurringruns:enable"]
    body = server.calls[0][2]
    assert body["mode"] == "DISABLE"
    assert (body["max_concurrency"], body["no_catchup"], body["service_account"]) == (1, True, "gan-training")
    assert current_schedules(server) == [("weekly", "0 0 3 * * 1", "ENABLED", None)]
    assert out.splitlines()[-1] == "weekly: enabled, 0 0 3 * * 1 (UTC)"


def test_applying_again_changes_nothing(capsys, server, version, tmp_path) -> None:
    file = declare(tmp_path, {**WEEKLY, "version": version, "overrides": ["train.steps=20000"]})
    assert run(capsys, "schedule", "apply", file)[0] == 0
    server.calls.clear()
    assert run(capsys, "schedule", "apply", file)[0] == 0
    assert server.calls == []


def test_a_changed_schedule_is_replaced_without_two_running(capsys, server, version, tmp_path) -> None:
    run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}))
    server.calls.clear()
    file = declare(tmp_path, {**WEEKLY, "version": version, "overrides": ["train.steps=20000"], "cron": "0 0 4 * * 1"})
    assert run(capsys, "schedule", "apply", file)[0] == 0
    assert changes(server) == [
        "POST recurringruns",
        "POST recurringruns:disable",
        "POST recurringruns:enable",
        "DELETE recurringruns",
    ]
    assert current_schedules(server) == [("weekly", "0 0 4 * * 1", "ENABLED", 20000)]
    assert server.most_enabled == 1
    assert server.propagation_policies == ["ORPHAN"]  # a run that the old one started goes on


def test_enabling_and_disabling_change_nothing_else(capsys, server, version, tmp_path) -> None:
    run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}))
    server.calls.clear()
    code, out, _ = run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version, "enabled": False}))
    assert (code, changes(server)) == (0, ["POST recurringruns:disable"])
    assert "weekly: disabled, 0 0 3 * * 1 (UTC)" in out
    run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}))
    assert current_schedules(server) == [("weekly", "0 0 3 * * 1", "ENABLED", None)]


def test_only_undeclared_schedules_of_the_same_owner_are_deleted(capsys, server, version, tmp_path) -> None:
    nightly = {**WEEKLY, "version": version, "name": "nightly", "cron": "0 0 2 * * *"}
    run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}, nightly))
    run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version, "name": "theirs"}, owner="other"))
    assert run(capsys, "schedule", "apply", declare(tmp_path, nightly))[0] == 0
    assert [name for name, *_ in current_schedules(server)] == ["nightly", "theirs"]
    assert server.propagation_policies == ["ORPHAN"]
    error = refused(capsys, 2, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version, "name": "theirs"}))
    assert "recurring run of another owner than gan-pipeline" in error
    assert [name for name, *_ in current_schedules(server)] == ["nightly", "theirs"]


# One schedule is replaced by four calls, one is disabled by one, one is added by two, and one is deleted by two.
CALLS = 9


@pytest.mark.parametrize("after", range(1, CALLS + 1))
def test_an_apply_interrupted_at_any_call_never_enables_two_schedules_and_can_be_repeated(
    capsys, server, version, tmp_path, after
) -> None:
    base = {**WEEKLY, "version": version}
    before = [base, {**base, "name": "nightly"}, {**base, "name": "old"}]
    declared = [{**base, "cron": "0 0 4 * * 1"}, {**base, "name": "nightly", "enabled": False}, {**base, "name": "new"}]
    run(capsys, "schedule", "apply", declare(tmp_path, *before))
    server.calls.clear()
    server.lose_after = after
    file = declare(tmp_path, *declared)
    # The last answer is also lost, so the command cannot know that its last call succeeded.
    refused(capsys, 75, "schedule", "apply", file)
    assert len(server.calls) == after
    server.lose_after = None
    assert run(capsys, "schedule", "apply", file)[0] == 0
    assert current_schedules(server) == [
        ("new", "0 0 3 * * 1", "ENABLED", None),
        ("nightly", "0 0 3 * * 1", "DISABLED", None),
        ("weekly", "0 0 4 * * 1", "ENABLED", None),
    ]
    assert server.most_enabled == 1


@pytest.mark.parametrize(
    "data",
    [
        {"data_pointer": "gs://bucket/cats.dvc", "data_remote": "gs://bucket/dvc"},
        {
            "data_pointer": "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  hash: md5\n  path: cats\n",
            "data_remote": "gs://bucket/dvc",
        },
        {"data_pointer": "gs://bucket/cats"},
    ],
    ids=["pointer in a bucket", "pointer", "prefix"],
)
def test_the_data_of_a_schedule_are_sent_to_its_runs(capsys, server, version, tmp_path, data) -> None:
    weekly = {**WEEKLY, "version": version, "overrides": ["prepare.source=cats"], **data}
    assert run(capsys, "schedule", "apply", declare(tmp_path, weekly))[0] == 0
    (recurring,) = server.recurring.values()
    sent = recurring["runtime_config"]["parameters"]
    assert sent["prepare"]["source"] == "cats"
    assert {name: sent[name] for name in ("data_pointer", "data_remote")} == {"data_remote": ""} | data


def test_a_schedule_shows_its_version_and_its_values(capsys, server, version, tmp_path) -> None:
    """The values precede the mark of the owner. A long list is cut, because Kubeflow stores only 255 characters."""
    for source in ("cats", "s" * 200):
        weekly = {**WEEKLY, "version": version, "data_pointer": "gs://bucket/cats"}
        weekly["overrides"] = ["train.steps=7", f"prepare.source={source}"]
        assert run(capsys, "schedule", "apply", declare(tmp_path, weekly))[0] == 0
        (recurring,) = server.recurring.values()
        shown = f"gan-training-cpu {version}, train.steps=7, prepare.source={source[:80]}"
        assert recurring["description"].startswith(shown)
        assert ("s, data_pointer=gs://bucket/cats; " in recurring["description"]) == (source == "cats")
        assert re.search(r"; declared by gan-pipeline, sha256-[0-9a-f]{64}$", recurring["description"])
        assert len(recurring["description"]) <= 255


def test_a_name_that_kubeflow_cannot_store_is_refused(capsys, server, version, tmp_path) -> None:
    for name in ("weekly \U0001f431", "n" * 256):
        declared = declare(tmp_path, {**WEEKLY, "version": version, "name": name})
        assert "The name of a schedule must " in refused(capsys, 2, "schedule", "apply", declared)
    assert not server.recurring


def test_a_schedule_of_an_earlier_version_is_still_its_owners(capsys, server, version, tmp_path) -> None:
    old = f"declared by gan-pipeline, sha256-{'0' * 64}"
    server.add("recurring", {"display_name": "weekly", "description": old, "status": "ENABLED"})
    assert run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}))[0] == 0
    assert current_schedules(server) == [("weekly", "0 0 3 * * 1", "ENABLED", None)]


def test_a_dry_run_checks_and_changes_nothing(capsys, server, version, tmp_path) -> None:
    code, out, _ = run(capsys, "schedule", "apply", declare(tmp_path, {**WEEKLY, "version": version}), "--dry-run")
    assert (code, server.calls) == (0, [])
    assert out == "weekly: enabled, 0 0 3 * * 1 (UTC)\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cron": "0 3 * * 1"}, "six fields, seconds first"),
        ({"version": "git-1"}, "must be one of git-"),
        ({"pipeline": "p"}, "must be one of gan-training-cpu"),
        ({"experiment": "e"}, "must be one of Default"),
        ({"overrides": ["train.stepz=1"]}, "train.stepz"),
        ({"enabled": "perhaps"}, "schedules.1.enabled"),
        ({"colour": "red"}, "schedules.1.colour"),
        ({"data_pointer": "gs://bucket/cats.dvc"}, "data_pointer and data_remote must be given together"),
        ({"data_remote": "gs://bucket/dvc"}, "Received: data_pointer='', data_remote='gs://bucket/dvc'"),
        ({"data_pointer": "gs://bucket/cats", "data_remote": "gs://bucket/dvc"}, "has no remote"),
        (
            {"data_pointer": "outs: []", "data_remote": "gs://bucket/dvc"},
            "The schedule weekly is not valid: The pointer",
        ),
        ({"data_pointer": "gs://"}, "must look like gs://bucket/folder"),
        ({"data_pointer": "gs://bucket/x.dvc", "data_remote": "s3://x"}, "DVC remote must be gs://bucket/folder"),
        ({"data_pointer": "gs://bucket/cats"}, "not a built-in data set"),
        ({"overrides": ["prepare.source=data/raw/cats"]}, "On a cluster prepare.source must be one of"),
    ],
)
def test_a_wrong_schedule_changes_nothing(capsys, server, version, tmp_path, change, message) -> None:
    good = {**WEEKLY, "version": version, "name": "good"}
    file = declare(tmp_path, good, {**WEEKLY, "version": version, **change})
    error = refused(capsys, 2, "schedule", "apply", file)
    assert message in error
    assert server.calls == []


def test_wrong_files_are_refused(capsys, server, tmp_path) -> None:
    twice = declare(tmp_path, {**WEEKLY, "version": "v"}, {**WEEKLY, "version": "v"})
    assert "its own name" in refused(capsys, 2, "schedule", "apply", twice)
    assert "readable YAML" in refused(capsys, 2, "schedule", "apply", str(tmp_path / "nowhere.yaml"))


def test_the_example_is_a_valid_file(capsys, server, version, tmp_path) -> None:
    example = (ROOT / "infra" / "schedules.yaml").read_text().replace("git-000000000000", version)
    (tmp_path / "example.yaml").write_text(example)
    assert run(capsys, "schedule", "apply", str(tmp_path / "example.yaml"))[0] == 0

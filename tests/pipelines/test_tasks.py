"""The stages that a person knows, found in what a real server listed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import kfp_server_api
import pytest
from recordings import RUNS, life

from pipelines import tasks

API = kfp_server_api.ApiClient()


def listed(run: dict[str, Any]) -> list[Any]:
    """The tasks as the SDK reads them."""
    known = {"run_details": run["run_details"]}
    return API.deserialize(SimpleNamespace(data=json.dumps(known)), "V2beta1Run").run_details.task_details


def shown(run: dict[str, Any]) -> list[str]:
    return [
        f"{stage.name}{'' if stage.trial is None else f' {stage.trial}'}: {stage.state}, {len(stage.tries)}"
        for stage in tasks.stages(listed(run))
    ]


NOT_RUN = ["evaluate: not run, 0", "register: not run, 0"]
ENDS = {
    "succeeded, second try": [
        *("resolve: done, 1", "fetch: done, 1", "prepare: done, 1", "train: done, 2"),
        *("evaluate: done, 1", "register: done, 1", "report-status: done, 1"),
    ],
    "from the cache, by a schedule": [
        *("resolve: done, 1", "fetch: cached, 0", "prepare: cached, 0", "train: cached, 0"),
        *("evaluate: cached, 0", "register: done, 1", "report-status: done, 1"),
    ],
    "out of memory": [
        *("resolve: done, 1", "fetch: done, 1", "prepare: done, 1", "train: failed, 2", "report-status: done, 1"),
        *NOT_RUN,
    ],
    "sweep": [
        *("resolve: done, 1", "fetch: done, 1", "prepare: done, 1", "train 0: done, 1", "train 1: done, 1"),
        *("evaluate 0: done, 1", "evaluate 1: done, 1", "choose: done, 1", "register: done, 1"),
        "report-status: done, 1",
    ],
    "cancelled": [
        *("resolve: done, 1", "fetch: cached, 0", "prepare: cached, 0", "train: failed, 1", "report-status: done, 1"),
        *NOT_RUN,
    ],
    "no room, then cancelled": [
        *("resolve: done, 1", "fetch: done, 1", "prepare: failed, 1", "report-status: done, 1"),
        *("train: not run, 0", *NOT_RUN),
    ],
    "no such image, then cancelled": [
        *("resolve: failed, 1", "report-status: failed, 1"),
        *("fetch: not run, 0", "prepare: not run, 0", "train: not run, 0", *NOT_RUN),
    ],
    "register failed, then retried": [
        *("resolve: done, 1", "fetch: done, 1", "prepare: done, 1", "train: done, 1", "evaluate: done, 1"),
        *("report-status: done, 1", "register: done, 1"),
    ],
}


@pytest.mark.parametrize("run", RUNS)
def test_the_end_of_a_run(run: str) -> None:
    assert shown(RUNS[run]) == ENDS[run]


def test_every_node_of_every_workflow_is_named() -> None:
    for run in RUNS.values():
        found = listed(run)
        graph = tasks._Graph([task for task in found if task.display_name])
        assert len(graph.names) == len({child.pod_name for task in found for child in task.child_tasks or []})


def states(run: str, stage: str) -> list[str]:
    """The states of a stage over the life of a run, each once."""
    lines = [line.partition(": ")[2] for moment in life(run) for line in shown(moment) if line.startswith(f"{stage}: ")]
    return [line for line, before in zip(lines, [None, *lines], strict=False) if line != before]


@pytest.mark.parametrize(
    ("run", "stage", "expected"),
    [
        (
            "out of memory",
            "train",
            ["starting, 0", "waiting, 1", "running, 1", "waiting, 2", "running, 2", "failed, 2"],
        ),
        ("no room, then cancelled", "prepare", ["starting, 0", "waiting, 1", "failed, 1"]),
        ("from the cache, by a schedule", "train", ["starting, 0", "cached, 0"]),
        ("sweep", "train 1", ["starting, 0", "waiting, 1", "running, 1", "done, 1"]),
        (
            "register failed, then retried",
            "register",
            ["starting, 0", "waiting, 1", "running, 1", "failed, 1", "waiting, 1", "done, 1"],
        ),
    ],
)
def test_a_stage_over_time(run: str, stage: str, expected: list[str]) -> None:
    assert states(run, stage) == expected


def test_of_two_trials_one_may_wait_for_a_node() -> None:
    """A pod's task has no name of its own; the start tells whose it is."""
    moment = next(m for m in life("sweep") if {"train 0: running, 1", "train 1: running, 1"} <= set(shown(m)))
    later = "2026-01-01T00:45:59Z"
    active = [task for task in moment["run_details"]["task_details"] if task.get("state") == "RUNNING"]
    pods = [task for task in active if task["display_name"] == "executor(0)"]
    executors = {task["child_tasks"][0]["pod_name"]: task for task in active if task["display_name"] == "executor"}
    graph = tasks._Graph([task for task in listed(moment) if task.display_name])
    (second,) = [name for name in graph.names if "(1:1)" in name and name.endswith(".train(0).executor(0)")]
    workflow = next(iter(executors)).rpartition("-")[0]
    executors[f"{workflow}-{tasks._hash(second)}"]["start_time"] = pods[1]["start_time"] = later
    pods[0]["state"] = "PENDING"
    assert {"train 0: waiting, 1", "train 1: running, 1"} <= set(shown(moment))


def test_a_failed_driver_is_its_steps_failure() -> None:
    moment = next(m for m in life("out of memory") if "train: starting, 0" in shown(m))
    (driver,) = [t for t in moment["run_details"]["task_details"] if t.get("display_name") == "train-driver"]
    driver["state"] = "FAILED"
    assert "train: failed, 1" in shown(moment)


def test_what_is_no_kubeflow_workflow_has_no_stages() -> None:
    assert tasks.stages([]) == []
    assert shown({"run_details": {"task_details": [{"display_name": "train", "state": "RUNNING"}]}}) == []

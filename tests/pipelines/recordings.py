"""The answers of a real Kubeflow Pipelines 2.17.0 with other identifiers, times and hosts. Do not edit the files.

`requests.jsonl` has the name, the request and the answer of each action; `runs.jsonl` has finished runs.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("kubeflow-2.17.0")
UNFINISHED = "0001-01-01T00:00:00Z"


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


RUNS = {line["run"]: line["answer"] for line in read("runs.jsonl")}


def life(run: str) -> list[dict[str, Any]]:
    """Returns the answers for the run over time: its state and its tasks after each change in its history."""
    end = RUNS[run]
    histories = [end["state_history"], *(task.get("state_history", []) for task in end["run_details"]["task_details"])]
    times = sorted({entry["update_time"] for history in histories for entry in history})
    return [_at(end, time) for time in times]


def _at(end: dict[str, Any], time: str) -> dict[str, Any]:
    run = copy.deepcopy(end)
    run["state_history"] = _until(time, run)
    run["state"] = run["state_history"][-1]["state"]
    if run["state_history"] != end["state_history"]:
        run["finished_at"] = "1970-01-01T00:00:00Z"
    # Steps that may be cached also have a task without a history, which only the cache reads.
    tasks = [task for task in run["run_details"]["task_details"] if _until(time, task) or task["create_time"] <= time]
    tasks = run["run_details"]["task_details"] = [t for t in tasks if "state_history" not in t or _until(time, t)]
    for task in tasks:
        history = _until(time, task)
        if history != task.get("state_history", []):
            task |= {"state_history": history, "state": history[-1].get("state"), "end_time": UNFINISHED}
        if task.get("display_name") == "executor" and "child_tasks" in task:
            tries = {t.get("display_name") for t in tasks if t["start_time"] >= task["start_time"]}
            begun = [n for n in range(len(task["child_tasks"])) if f"executor({n})" in tries]
            task["child_tasks"] = task["child_tasks"][: len(begun)]
    return run


def _until(time: str, item: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in item.get("state_history", []) if entry["update_time"] <= time]

"""Finds the stages of a run, as a person knows them, among the tasks that Kubeflow lists.

Kubeflow lists every node of the Argo workflow as a task: drivers, executors, tries, loops, the workflow itself. A task
has its node's short name and the identifiers of the node's children, but neither its own identifier nor its parent.
Argo makes an identifier from the workflow's name and a hash of the node's whole name, such as
`NAME(0).root(0).exit-handler-1(0).train(0).executor(1)`. So the whole names are found by hashing all possible names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import Any, Literal, get_args

from pipelines.profile import Step

State = Literal["starting", "waiting", "running", "done", "cached", "failed", "not run"]
ACTIVE: tuple[State, ...] = ("starting", "waiting", "running")
_DRIVER = "-driver"
_STEPS = get_args(Step)
_TRY = re.compile(r"\((\d+)\)$")
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Stage:
    """A stage of a run; in a sweep, a stage of one trial.

    Attributes:
        node: the whole name of its node.
        trial: the trial's number, from 0; None outside a sweep's loop.
        state: `starting` while its driver works, `waiting` while its pod waits for a node or an image.
        tries: the whole names of the pods that tried it, in order; empty if it came from the cache.
        started, ended: times by the cluster's clock; None if the stage has not started or ended.
    """

    node: str
    name: str
    trial: int | None
    state: State
    tries: tuple[str, ...]
    started: datetime | None
    ended: datetime | None


def stages(tasks: Sequence[Any]) -> list[Stage]:
    """Returns the stages that have begun or will not run, in the order of their start."""
    graph = _Graph([task for task in tasks if task.display_name])
    found = []
    for driver, short in graph.names.items():
        name = short.removesuffix(_DRIVER)
        if short != name and name in _STEPS and (stage := _stage(graph, driver.removesuffix(_DRIVER), name)):
            found.append(stage)
    return sorted(found, key=lambda stage: (stage.started or _NEVER, _STEPS.index(stage.name), stage.node))


def _stage(graph: _Graph, node: str, name: str) -> Stage | None:
    driver, step = graph.tasks.get(f"{node}{_DRIVER}"), graph.tasks.get(node)
    executor = next(
        (found for found in (f"{node}({number}).executor" for number in (1, 0)) if found in graph.names), ""
    )
    tries = graph.tries(executor)
    state: State
    if driver and driver.state == "FAILED":
        state, tries = "failed", graph.tries(f"{node}{_DRIVER}")
    elif step is None and node in graph.names:
        state = "not run"
    elif step is None:
        state = "waiting" if graph.waits(f"{node}{_DRIVER}") else "starting"
    elif step.state == "RUNNING":
        state = "waiting" if graph.waits(executor) else "running" if tries else "starting"
    elif step.state == "SUCCEEDED":
        state = "done" if tries else "cached"
    else:
        state = "failed"
    task = step or driver
    if task is None and state != "not run":
        return None
    trial = re.search(r"\((\d+):", node)
    return Stage(
        *(node, name, int(trial[1]) if trial else None, state, tries),
        started=task.start_time if task else None,
        ended=task.end_time if task and state not in ACTIVE else None,
    )


class _Graph:
    """The nodes of a workflow: `names` maps whole names to short ones, `tasks` maps nodes with children to tasks."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        self.leaves = [task for task in tasks if not task.child_tasks]
        self.names: dict[str, str] = {}
        self.tasks: dict[str, Any] = {}
        parents = {(task.display_name, child.pod_name): task for task in tasks for child in task.child_tasks or []}
        identifiers = {identifier for _, identifier in parents if identifier}
        shorts = {_TRY.sub("", task.display_name) for task in tasks}
        iterations = {name for name in shorts if name.endswith(")")}
        shorts -= iterations
        tries = {int(found[1]) for task in tasks if (found := _TRY.search(task.display_name))}
        workflow = next(iter(identifiers), "").rpartition("-")[0]
        unread = [(workflow, workflow, _hash(workflow))]
        while unread:
            node, short, start = unread.pop()
            # Only a loop has iterations, such as `iteration-iterations(0:0)`.
            names = iterations | shorts if short.startswith("for-loop") else shorts
            suffixes = {f".{name}": name for name in names} | {f"({number})": f"{short}({number})" for number in tries}
            for suffix, child in suffixes.items():
                digest = _hash(suffix, start)
                if (identifier := f"{workflow}-{digest}") in identifiers:
                    self.names[node + suffix] = child
                    unread.append((node + suffix, child, digest))
                    if task := parents.get((short, identifier)):
                        self.tasks[node] = task

    def tries(self, node: str) -> tuple[str, ...]:
        """Returns the nodes that tried `node`, in order."""
        return tuple(takewhile(self.names.__contains__, (f"{node}({number})" for number in count())))

    def waits(self, node: str) -> bool:
        """Whether the pod of the last try of `node` waits. If several pods could be that pod, whether all of them wait.

        A pod's task cannot be found by its whole name, because it has no children. It has the node's short name and, in
        the first try, the start time of its parent.
        """
        tries = self.tries(node)
        if not tries:
            return False
        short, start = self.names[tries[-1]], self.tasks[node].start_time
        pods = [task for task in self.leaves if task.display_name == short and task.state in ("PENDING", "RUNNING")]
        pods = [pod for pod in pods if pod.start_time >= start]
        pods = [pod for pod in pods if pod.start_time == start] or pods
        return bool(pods) and all(pod.state == "PENDING" for pod in pods)


def _hash(text: str, start: int = 2166136261) -> int:
    """Returns the 32-bit FNV-1a hash of `text`; `start` continues another hash."""
    for byte in text.encode():
        start = (start ^ byte) * 16777619 & 0xFFFFFFFF
    return start

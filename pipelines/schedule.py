"""Declarative schedules: `apply` makes the server's recurring runs match a file.

Kubeflow cannot change a recurring run, and accepts a second one with the same name. So a changed schedule is created
paused, the old one is disabled, the new one is enabled and the old one is deleted. Two schedules of the same name never
run at the same time, and after an interruption the same command finishes the change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from gan_core.digests import json_digest
from gan_core.errors import InvalidInput
from gan_core.raw_data import require_data
from gan_core.record import Record, faults
from pipelines import changes, server
from pipelines.cron import require_cron
from pipelines.parameters import Values, load_yaml
from pipelines.stored_text import MOST_CHARACTERS, require_name
from pipelines.submit import Data, arguments, complete

Text = Annotated[str, Field(min_length=1)]
ENABLED = "ENABLED"


class Schedule(Record):
    """One recurring run.

    Attributes:
        cron: six fields, seconds first.
        overrides: changes to the version's compiled parameters, as for `submit -S`.
        data_pointer, data_remote: the raw data; see pipelines.training.
    """

    name: Text
    pipeline: Text
    version: Text
    experiment: Text
    service_account: Text
    cron: Text
    overrides: tuple[str, ...] = ()
    data_pointer: str | None = None
    data_remote: str | None = None
    enabled: bool


class Schedules(Record):
    """A file of schedules.

    Attributes:
        owner: marks the recurring runs that this file declares; other recurring runs are not changed.
        time_zone: the server's CRON_SCHEDULE_TIMEZONE, in which it reads cron expressions. It is only information for
            people who read the file or the output of `apply`.
    """

    owner: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    time_zone: Text
    schedules: tuple[Schedule, ...]

    @classmethod
    def read(cls, path: Path) -> Schedules:
        """Reads a file of schedules.

        Raises:
            InvalidInput: it cannot be read, a key or a cron expression is wrong, or two schedules have the same name.
        """
        import yaml

        document = load_yaml(path, "The file of schedules")
        try:
            schedules = cls.model_validate(document)
        except ValidationError as error:
            raise InvalidInput(f"The schedules are not valid: {'; '.join(faults(error))}. Received: {path}") from None
        names = [schedule.name for schedule in schedules.schedules]
        if len(set(names)) < len(names):
            raise InvalidInput(f"Each schedule must have its own name. Received: {', '.join(names)}")
        for schedule in schedules.schedules:
            require_name(schedule.name, "The name of a schedule")
            require_cron(schedule.cron)
            try:
                require_data(schedule.data_pointer or "", schedule.data_remote or "", yaml.safe_load)
            except InvalidInput as error:
                raise InvalidInput(f"The schedule {schedule.name} is not valid: {error}") from None
        return schedules


@dataclass(frozen=True)
class Wanted:
    """The wanted state of one recurring run; the end of its `description` marks its owner and its content."""

    schedule: Schedule
    version: Any
    experiment_id: str
    values: Values
    description: str


def wanted(client: Any, owner: str, schedule: Schedule) -> Wanted:
    """Resolves a schedule against the server.

    Raises:
        InvalidInput: the pipeline, version, experiment or an override does not exist or is wrong.
    """
    version = server.find_version(client, schedule.pipeline, schedule.version)
    experiment_id = server.find_experiment(client, schedule.experiment)
    data = Data(schedule.data_pointer, schedule.data_remote)
    specification = server.specification_of(version)
    values = arguments(specification, schedule.overrides, data)
    content = [schedule.cron, version.pipeline_version_id, experiment_id, schedule.service_account, values]
    mark = f"declared by {owner}, sha256-{json_digest(content)}"
    shown = [f"{schedule.pipeline} {schedule.version}", *changes.all_changes(specification, values)]
    description = f"{changes.listed(shown, MOST_CHARACTERS - len(mark) - 2)}; {mark}"
    return Wanted(schedule, version, experiment_id, complete(specification, values), description)


def _is_of(owner: str, run: Any) -> bool:
    return bool(re.search(rf"(^|; )declared by {owner}, sha256-[0-9a-f]{{64}}$", run.description or ""))


def apply(client: Any, owner: str, schedules: Sequence[Schedule]) -> Iterator[str]:
    """Makes the server's recurring runs match `schedules`; yields a sentence after each change.

    Raises:
        InvalidInput: a schedule cannot be resolved, or a recurring run of its name belongs to another owner. In either
            case nothing has been changed.
    """
    plans = [wanted(client, owner, schedule) for schedule in schedules]
    users = client.get_user_namespace() or None
    runs = list(server.pages(client.list_recurring_runs, "recurring_runs", namespace=users))
    ours = [run for run in runs if _is_of(owner, run)]
    names = {plan.schedule.name for plan in plans}
    foreign = [run.display_name for run in runs if run not in ours and run.display_name in names]
    if foreign:
        raise InvalidInput(
            f"A recurring run of another owner than {owner} has this name: delete or rename it. Received: {foreign[0]}"
        )
    for plan in plans:
        yield from _reconcile(client, plan, [run for run in ours if run.display_name == plan.schedule.name])
    for run in ours:
        if run.display_name not in names:
            yield from _remove(client, run)


def _reconcile(client: Any, plan: Wanted, existing: Sequence[Any]) -> Iterator[str]:
    matching = [run for run in existing if run.description == plan.description]
    # Two simultaneous calls can leave several matches; the running one stays.
    current = next(iter(sorted(matching, key=lambda run: run.status != ENABLED)), None)
    name = plan.schedule.name
    if current is None:
        current = client.create_recurring_run(
            plan.experiment_id,
            name,
            description=plan.description,
            cron_expression=plan.schedule.cron,
            max_concurrency=1,
            no_catchup=True,
            params=plan.values,
            pipeline_id=plan.version.pipeline_id,
            version_id=plan.version.pipeline_version_id,
            enabled=False,
            service_account=plan.schedule.service_account,
        )
        yield f"{name}: created, paused"
    others = [run for run in existing if run.recurring_run_id != current.recurring_run_id]
    for run in others:
        if run.status == ENABLED:
            client.disable_recurring_run(run.recurring_run_id)
            yield f"{name}: the old one disabled"
    if plan.schedule.enabled and current.status != ENABLED:
        client.enable_recurring_run(current.recurring_run_id)
        yield f"{name}: enabled"
    if not plan.schedule.enabled and current.status == ENABLED:
        client.disable_recurring_run(current.recurring_run_id)
        yield f"{name}: disabled"
    for run in others:
        _delete(client, run)
        yield f"{name}: the old one removed"


def _remove(client: Any, run: Any) -> Iterator[str]:
    if run.status == ENABLED:
        client.disable_recurring_run(run.recurring_run_id)
        yield f"{run.display_name}: disabled"
    _delete(client, run)
    yield f"{run.display_name}: removed, it is no longer declared"


def _delete(client: Any, run: Any) -> None:
    """Deletes a recurring run. The runs that it has started go on; by default Kubernetes would delete them with it."""
    client.recurring_runs.recurring_run_service_delete_recurring_run(run.recurring_run_id, propagation_policy="ORPHAN")

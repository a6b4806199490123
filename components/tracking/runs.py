"""Finds and creates the experiment and the run that MLflow's own environment variables name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.tracking.address import database_of, tracking_uri
from components.tracking.database import artifacts_of
from gan_core.errors import InvalidInput

EXPERIMENT = "gan-pipeline"
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter for a malformed name or number


def attached_run(client: Any) -> str | None:
    """Returns the run that MLFLOW_RUN_ID names; None if the variable is not set.

    Raises:
        InvalidInput: there is no such run, or it was deleted.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and not has_run(client, run_id):
        raise InvalidInput(
            f"MLFLOW_RUN_ID must name an existing run; if it is unset, the training creates one. Received: {run_id}"
        )
    return run_id or None


def experiment_id(client: Any, name: str | None = None) -> str:
    """Returns the experiment of `find_experiment`, which is created if it does not exist.

    Raises:
        InvalidInput: it was deleted, no experiment has that number, or its artifacts need a server.
    """
    from mlflow.exceptions import MlflowException

    if (experiment := find_experiment(client, name)) is None:
        # MLflow would put a local database's artifacts below the working directory, perhaps DVC's temporary copy.
        database = database_of(tracking_uri())
        artifacts = artifacts_of(database).as_uri() if database else None
        try:
            return str(client.create_experiment(name or _experiment_name(), artifact_location=artifacts))
        except MlflowException:  # another process was quicker
            if (experiment := find_experiment(client, name)) is None:
                raise
    return str(experiment.experiment_id)


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def find_experiment(client: Any, name: str | None = None) -> Any | None:
    """Returns the experiment `name`; None if no experiment has that name.

    Without a name, it is the experiment in MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME, else the pipeline's.
    """
    from mlflow.exceptions import MlflowException

    if name is None and (number := os.environ.get("MLFLOW_EXPERIMENT_ID")):
        try:
            experiment = client.get_experiment(number)
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            experiment = None
        if experiment is None:
            raise InvalidInput(f"MLFLOW_EXPERIMENT_ID must be the number of an existing experiment. Received: {number}")
    else:
        experiment = client.get_experiment_by_name(name or _experiment_name())
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        raise InvalidInput(
            "The experiment must not be deleted: restore it with `python -m components.run_mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`, or name another experiment in MLFLOW_EXPERIMENT_NAME. "
            f"Received: {experiment.name}"
        )
    if str(experiment.artifact_location).startswith("mlflow-artifacts:") and not tracking_uri().startswith("http"):
        raise InvalidInput(
            "The experiment stores its artifacts through an MLflow server: set MLFLOW_TRACKING_URI to that server's "
            f"address, or MLFLOW_EXPERIMENT_NAME to another experiment. Received: {experiment.name}"
        )
    return experiment


def has_run(client: Any, run_id: str) -> bool:
    """Whether the server has the run and it was not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return False
        raise


def create_run(
    client: Any,
    identity: tuple[str, str],
    name: str | None,
    tags: Mapping[str, str],
    start_time: int,
    *,
    experiment_name: str | None = None,
) -> str:
    """Returns the id of the run that has the tag `identity`; creates the run if there is none.

    A new run is called `name`; if it is None, MLflow chooses a name. If a call was repeated after a lost answer, there
    may be several such runs; only the oldest is kept. The experiment is that of `experiment_id`.
    """
    experiment = experiment_id(client, experiment_name)
    query = f"tags.`{identity[0]}` = '{identity[1]}'"
    order = ["attributes.start_time", "attributes.run_id"]
    if not (runs := client.search_runs([experiment], query, order_by=order)):
        client.create_run(experiment, start_time=start_time, tags={**tags, identity[0]: identity[1]}, run_name=name)
        runs = client.search_runs([experiment], query, order_by=order)
    for duplicate in runs[1:]:
        client.delete_run(duplicate.info.run_id)
    return str(runs[0].info.run_id)


def pages(search: Callable[..., Any], **query: Any) -> Iterator[Any]:
    """Yields all results of one of MLflow's searches."""
    token = None
    while True:
        page = search(**query, page_token=token)
        yield from page
        if not (token := page.token):
            return

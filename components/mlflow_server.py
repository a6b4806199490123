"""The way to MLflow: which server, which experiment, which run. Configured by MLflow's own environment variables."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from components.mlflow_address import database_of, registry_uri, tracking_uri
from components.mlflow_database import artifacts_of, make_ready
from gan_core.masking import masked

EXPERIMENT = "gan-pipeline"
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def configure_mlflow() -> None:
    """Imports MLflow, with what it reads from the environment set, where the user has not.

    Its own patience with a server is up to 17 minutes a call; here half a minute. Usage reports to its makers, notes
    about tables, about each try of a request, and progress bars are off.
    """
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401


def connect() -> Any:
    """A client of the server that MLFLOW_TRACKING_URI names, or of mlflow.db in the project.

    A database in a file is made if it is missing, and follows its folder when that was moved or copied.
    """
    configure_mlflow()
    from mlflow import MlflowClient

    for address in {tracking_uri(), registry_uri()}:
        if database := database_of(address):
            make_ready(database)
    return MlflowClient(tracking_uri(), registry_uri())


def explain(error: BaseException) -> str:
    """The first line of an error's message, without the password that an address may hold."""
    return masked(str(error).strip().partition("\n")[0]) or type(error).__name__


def experiment_id(client: Any) -> str:
    """The experiment of MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME, else this pipeline's; made if it is missing."""
    from mlflow.exceptions import MlflowException

    if named := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return named
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    # MLflow would put a local database's artifacts below the working directory: DVC's temporary copy, perhaps.
    database = database_of(tracking_uri())
    artifacts = artifacts_of(database).as_uri() if database else None
    if (experiment := client.get_experiment_by_name(name)) is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another process was quicker
            if (experiment := client.get_experiment_by_name(name)) is None:
                raise
    return str(experiment.experiment_id)


def has_run(client: Any, run_id: str) -> bool:
    """Whether the server has the run, and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def create_run(client: Any, identity: tuple[str, str], tags: Mapping[str, str], start_time: int) -> str:
    """Returns the id of the run that has the tag `identity`, which is made if there is none.

    When an answer is lost after the server did its work, the call is repeated: of several such runs the oldest stays.
    """
    experiment = experiment_id(client)
    query = f"tags.`{identity[0]}` = '{identity[1]}'"
    order = ["attributes.start_time", "attributes.run_id"]
    if not (runs := client.search_runs([experiment], query, order_by=order)):
        name = tags.get("dvc_experiment")
        client.create_run(experiment, start_time=start_time, tags={**tags, identity[0]: identity[1]}, run_name=name)
        runs = client.search_runs([experiment], query, order_by=order)
    for repeated in runs[1:]:
        client.delete_run(repeated.info.run_id)
    return str(runs[0].info.run_id)

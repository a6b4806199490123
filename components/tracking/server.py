"""Connects to MLflow and finds the experiment and the run that MLflow's own environment variables name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.storage.outputs import require_folder
from components.tracking.address import database_of, registry_uri, tracking_uri
from components.tracking.database import artifacts_of, make_ready
from components.tracking.failures import answered
from gan_core.errors import InvalidInput, TryAgain
from gan_core.url_guard import require_token

EXPERIMENT = "gan-pipeline"
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter for a malformed name or number
_DATABASE_SERVER = re.compile(r"(postgresql|mysql|mssql)(\+\w+)?://")
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
    """Sets the environment variables that MLflow reads, unless the user has set them, and imports MLflow.

    By default MLflow waits up to 17 minutes per call for a server; here it waits half a minute. Telemetry, progress
    bars, and notes about tables and about each attempt of a request are off.
    """
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    # It prints each database error with its traceback, and raises it too.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def connect() -> Any:
    """A client of the server that MLFLOW_TRACKING_URI names, or of mlflow.db in the project.

    A database file is created if it is missing. If its folder was moved or copied, its artifact paths are corrected.
    """
    require_token("MLFLOW_TRACKING_TOKEN")
    configure_mlflow()
    from mlflow import MlflowClient

    for address in {tracking_uri(), registry_uri()}:
        if database := database_of(address):
            make_ready(database)
        elif _DATABASE_SERVER.match(address):
            _try(address)
    return MlflowClient(tracking_uri(), registry_uri())


def _try(address: str) -> None:
    """Tries once to connect to a database server; MLflow itself would try for minutes."""
    import sqlalchemy

    url = sqlalchemy.make_url(address)
    limit = {} if address.startswith("mssql") or "connect_timeout" in url.query else {"connect_timeout": 10}
    engine = sqlalchemy.create_engine(url, connect_args=limit)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def check_destination() -> None:
    """Checks before a training that its run, experiment and server can be used.

    An unreachable server is not an error, because the tracker keeps the records until the server is back.

    Raises:
        InvalidInput: they cannot be used, and trying again does not help.
    """
    attached = os.environ.get("MLFLOW_RUN_ID")
    database = database_of(tracking_uri())
    # The tracker creates the database in the background. Until then only its folder can be checked.
    absent = database and not database.exists() and not attached and not os.environ.get("MLFLOW_EXPERIMENT_ID")
    retries = os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    try:
        with answered("accept a run"):
            if database and absent:
                require_folder(database.parent)
                return
            client = connect()
            if attached:
                attached_run(client)
            elif (experiment := _find_experiment(client)) and (place := _folder(experiment.artifact_location)):
                require_folder(place)
    except TryAgain:
        return
    finally:
        if retries is None:
            del os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]


def _folder(location: str) -> Path | None:
    """The local folder that an artifact location names; None if the location is not local."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None


def attached_run(client: Any) -> str | None:
    """The run that MLFLOW_RUN_ID names, if it names one.

    Raises:
        InvalidInput: there is no such run, or it was deleted.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and not has_run(client, run_id):
        raise InvalidInput(
            f"MLFLOW_RUN_ID must name a run that exists; without it the training makes one. Received: {run_id}"
        )
    return run_id or None


def experiment_id(client: Any) -> str:
    """The experiment of MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME, else this pipeline's; made if it is missing.

    Raises:
        InvalidInput: it was deleted, there is none with that number, or its artifacts need a server.
    """
    from mlflow.exceptions import MlflowException

    if (experiment := _find_experiment(client)) is None:
        # MLflow would put a local database's artifacts below the working directory, perhaps DVC's temporary copy.
        database = database_of(tracking_uri())
        artifacts = artifacts_of(database).as_uri() if database else None
        try:
            return str(client.create_experiment(_experiment_name(), artifact_location=artifacts))
        except MlflowException:  # another process was quicker
            if (experiment := _find_experiment(client)) is None:
                raise
    return str(experiment.experiment_id)


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def _find_experiment(client: Any) -> Any | None:
    """The configured experiment; None if no experiment has its name."""
    from mlflow.exceptions import MlflowException

    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        try:
            experiment = client.get_experiment(number)
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            experiment = None
        if experiment is None:
            raise InvalidInput(f"MLFLOW_EXPERIMENT_ID must be an experiment's number. Received: {number}")
    else:
        experiment = client.get_experiment_by_name(_experiment_name())
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        raise InvalidInput(
            "The experiment was deleted: restore it with `python -m components.run_mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`, or name another one in MLFLOW_EXPERIMENT_NAME. "
            f"Received: {experiment.name}"
        )
    if str(experiment.artifact_location).startswith("mlflow-artifacts:") and not tracking_uri().startswith("http"):
        raise InvalidInput(
            "The experiment's artifacts go through an MLflow server, so MLFLOW_TRACKING_URI must be that server's "
            f"address, or MLFLOW_EXPERIMENT_NAME another experiment. Received: {experiment.name}"
        )
    return experiment


def has_run(client: Any, run_id: str) -> bool:
    """Whether the server has the run, and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return False
        raise


def create_run(
    client: Any, identity: tuple[str, str], name: str | None, tags: Mapping[str, str], start_time: int
) -> str:
    """Returns the id of the run that has the tag `identity`; creates the run if there is none.

    A new run is called `name`; if that is None, MLflow chooses a name. A call that is repeated after a lost answer may
    create several such runs; only the oldest stays.
    """
    experiment = experiment_id(client)
    query = f"tags.`{identity[0]}` = '{identity[1]}'"
    order = ["attributes.start_time", "attributes.run_id"]
    if not (runs := client.search_runs([experiment], query, order_by=order)):
        client.create_run(experiment, start_time=start_time, tags={**tags, identity[0]: identity[1]}, run_name=name)
        runs = client.search_runs([experiment], query, order_by=order)
    for repeated in runs[1:]:
        client.delete_run(repeated.info.run_id)
    return str(runs[0].info.run_id)

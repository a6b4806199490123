"""Connects to MLflow, and checks before a training whether MLflow can be used."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from components.storage.outputs import require_folder
from components.tracking.address import database_of, registry_uri, tracking_uri
from components.tracking.database import make_ready
from components.tracking.failures import answered
from components.tracking.runs import attached_run, find_experiment
from gan_core.errors import TryAgain
from gan_core.url_guard import require_token

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

    By default MLflow waits up to 17 minutes per call for a server; with these settings it waits half a minute.
    Telemetry, progress bars, and messages about tables and about each attempt of a request are off.
    """
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    # This logger prints each database error with its traceback, although MLflow also raises the error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def connect() -> Any:
    """Returns a client of the server that MLFLOW_TRACKING_URI names, or of mlflow.db in the project.

    A database file is created if it is missing. If its folder was moved or copied, its artifact paths are corrected.
    """
    require_token("MLFLOW_TRACKING_TOKEN")
    configure_mlflow()
    from mlflow import MlflowClient

    for address in {tracking_uri(), registry_uri()}:
        if database := database_of(address):
            make_ready(database)
        elif _DATABASE_SERVER.match(address):
            _connect_once(address)
    return MlflowClient(tracking_uri(), registry_uri())


def _connect_once(address: str) -> None:
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
    """Checks before a training that its run, its experiment and the server can be used.

    An unreachable server is not an error, because the tracker keeps the records until the server answers again.

    Raises:
        InvalidInput: one of them can never be used.
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
            elif (experiment := find_experiment(client)) and (folder := _folder(experiment.artifact_location)):
                require_folder(folder)
    except TryAgain:
        return
    finally:
        if retries is None:
            del os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]


def _folder(location: str) -> Path | None:
    """Returns the local folder that an artifact location names; None if the location is not local."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None

"""Turns errors of MLflow, its database and its artifact store into the two failures that a user can act on."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

from components.tracking.address import tracking_uri
from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.masking import masked

MOST_CHARACTERS = 300  # of a server's message, which may be a whole page

# Permanent errors and their remedies. Other errors may be temporary: the network, a lock, a full disk.
_PERMANENT = (
    (
        r"out-of-date database schema|Can't locate revision",
        "Back the database up and run `mlflow db upgrade` with its address, or use the MLflow version that made it.",
    ),
    (
        r"file is not a database|disk image is malformed|database corruption",
        "Restore the database from a backup, or move it away: a new one is created, without the old runs.",
    ),
    (r"unable to open database file|readonly database", "The database's file and folder must exist and be writable."),
    (
        r"No module named|Can't load plugin|is not installed",
        "Install the package that this address needs.",
    ),
    (
        r"authentication failed|no password supplied|Access denied|(role|user|database) .*does not exist"
        r"|Unknown database|no pg_hba.conf entry|permission denied for",
        "The address must name a database, a user and a password that its server knows.",
    ),
    (
        r"filesystem tracking backend|UnsupportedModelRegistryStoreURI|unsupported URI|must be a valid http or https",
        "Use sqlite:///mlflow.db for a database in the project, or a server's http:// or https:// address.",
    ),
    (
        r"(?i)databricks",
        "Databricks needs its own configuration (`databricks configure`) and permissions.",
    ),
    (
        r"code 40[13]|PERMISSION_DENIED|UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED",
        "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, as the server requires.",
    ),
    (
        r"not in a valid JSON format|INTERNAL_ERROR: Response: |ENDPOINT_NOT_FOUND|TooManyRedirects"
        r"|failed with error code (3|4(?!08|09|23|25|29))\d\d",
        "The address must belong to an MLflow server; here a login page or another program answers.",
    ),
    (
        r"SSLError(?!.*EOF)|CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER",
        "The server's certificate must be trusted (set MLFLOW_TRACKING_SERVER_CERT_PATH for your own one), and the "
        "address must begin with the server's scheme, http:// or https://.",
    ),
    (r"Could not parse SQLAlchemy URL", "The address must look like postgresql://user:password@host:5432/database."),
)
_PERMANENT_CODES = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "FEATURE_DISABLED", "NOT_IMPLEMENTED")


@contextlib.contextmanager
def answered(task: str) -> Iterator[None]:
    """Turns errors that MLflow and its dependencies raise in the body into one sentence.

    Args:
        task: what the body does, in the infinitive: `register the generator`.

    Raises:
        InvalidInput: a mistake in the address, experiment, run, credentials or database, with the remedy.
        TryAgain: the server or the database is unavailable or busy.
    """
    try:
        yield
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:
        if not _is_outside(error):
            raise
        message = f"MLflow did not {task}: {explain(error)}"
        if (remedy := _remedy(error)) is None:
            raise TryAgain(f"{message} Run the same command again.") from None
        address = masked(tracking_uri())
        raise InvalidInput(f"{message} {remedy} Received: MLFLOW_TRACKING_URI={address}") from None


def explain(error: BaseException) -> str:
    """Returns the first line of an error's message as a sentence, without secrets."""
    line = masked(str(error).strip().partition("\n")[0]).strip() or type(error).__name__
    if len(line) > MOST_CHARACTERS:
        return f"{line[:MOST_CHARACTERS]}…"
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _is_outside(error: Exception) -> bool:
    """Whether an exception comes from MLflow, a server, a database, a driver or the file system, not from this code."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    outside = (MlflowException, RequestException, SQLAlchemyError, sqlite3.Error, ImportError, OSError)
    return isinstance(error, outside) or type(error).__module__.startswith(("alembic.", "urllib3.", "databricks."))


def _remedy(error: Exception) -> str | None:
    """Returns the remedy for a permanent error; None if the same call may succeed later."""
    description = f"{type(error).__name__} {getattr(error, 'error_code', '')} {error}"
    for pattern, remedy in _PERMANENT:
        if re.search(pattern, description, re.DOTALL):
            return remedy
    if isinstance(error, OSError) and isinstance(failure_of(error), InvalidInput):
        return "MLflow's database and artifacts must be in writable folders."
    if getattr(error, "error_code", None) in _PERMANENT_CODES:
        return "Correct the setting that the message names."
    return None

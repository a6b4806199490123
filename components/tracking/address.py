"""MLflow's address: that in MLFLOW_TRACKING_URI, or else the database mlflow.db in the project."""

from __future__ import annotations

import os
import re
from pathlib import Path

from components.cli.project import project_root
from gan_core.errors import InvalidInput
from gan_core.masking import masked
from gan_core.url_guard import require_server

DATABASE = "mlflow.db"
_SQLITE = re.compile(r"(?P<scheme>sqlite(\+\w+)?):///(?P<path>[^?]+)(?P<query>\?.*)?")


def tracking_uri() -> str:
    """Returns the address of the tracking server or database, without relative paths.

    Raises:
        InvalidInput: a server's address without a host, a sqlite address that names no file, or a question mark in the
            name of its folder.
    """
    return _resolved("MLFLOW_TRACKING_URI") or _sqlite(DATABASE)


def registry_uri() -> str:
    """Returns the address of the model registry: that in MLFLOW_REGISTRY_URI, or else the tracking server's.

    Raises:
        InvalidInput: a server's address without a host, a sqlite address that names no file, or a question mark in the
            name of its folder.
    """
    return _resolved("MLFLOW_REGISTRY_URI") or tracking_uri()


def database_of(address: str) -> Path | None:
    """Returns the database file that an address names; None for a server."""
    match = _SQLITE.fullmatch(address)
    return Path(match["path"]) if match else None


def is_remote() -> bool:
    """Whether MLflow may be unreachable, which is true for a server and false for a database file on this machine."""
    return database_of(tracking_uri()) is None


def _resolved(variable: str) -> str:
    """Returns the address in an environment variable, or an empty text. Relative sqlite paths start at the project."""
    address = os.environ.get(variable, "").strip()
    if address.lower().startswith("http") or ("@" in address and "://" not in address):
        return require_server(address, variable)
    if not address.lower().startswith("sqlite"):
        return address
    match = _SQLITE.fullmatch(address)
    # A database in memory ends with its process. SQLite's own file: addresses hide the file's folder.
    if match is None or match["path"].startswith((":memory:", "file:")):
        raise InvalidInput(
            "A sqlite address must name a file: sqlite:///mlflow.db in the project, or sqlite:////folder/mlflow.db. "
            f"Received: {variable}={masked(address)}"
        )
    return _sqlite(match["path"], match["scheme"], match["query"] or "")


def _sqlite(path: str, scheme: str = "sqlite", query: str = "") -> str:
    """Returns the address of the database at `path`; a relative path starts at the project."""
    database = project_root() / path
    # A link at the end of the path is not resolved, because the artifacts are next to the link.
    database = database.parent.resolve() / database.name
    if "?" in str(database):
        raise InvalidInput(f"The path of a sqlite database must not contain '?'. Received: {database}")
    return f"{scheme}:///{database}{query}"

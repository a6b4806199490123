"""MLflow's SQLite database file: created atomically, with its artifacts in the folder `mlruns` next to it.

MLflow stores absolute paths of artifacts. The database therefore keeps a record of its own folder. If that folder was
moved or copied, the paths are rewritten in one transaction before anything is read.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from gan_core.errors import InvalidInput

LOCKED_SECONDS = 20.0  # how long to wait for another process's transaction, as MLflow does
LEFT_BEHIND_SECONDS = 3600.0  # an older unfinished database is that of a killed process
_ARTIFACTS = "mlruns"
_RECORD = "gan_pipeline_folder"  # a table with one row
_PATHS = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
# Experiments that this project made have the first form; MLflow's own, number 0, has the second.
_LOCATION = re.compile(r"file://(?P<folder>/.*)/mlruns|(?P<default>/.*)/mlruns/0")


def artifacts_of(database: Path) -> Path:
    """Returns the folder for the artifacts of a database's experiments."""
    return database.parent / _ARTIFACTS


def make_ready(database: Path) -> None:
    """Creates the database if it is missing, and corrects its artifact paths if its folder was moved or copied.

    Raises:
        InvalidInput: the file is the database of another program.
        sqlite3.Error: it is locked, damaged or not writable.
    """
    if not database.exists():
        _create(database)
    _clean(database)
    with _opened(database) as connection:
        tables = _tables(connection)
        if not tables:  # an empty file, in which MLflow makes its tables
            return
        if "experiments" not in tables:
            raise InvalidInput(f"The database must be one that MLflow created. Received: {database}")
        if _recorded(connection) != str(database.parent):
            connection.execute("BEGIN IMMEDIATE")
            _follow(connection, database.parent)
            connection.execute("COMMIT")


def _create(database: Path) -> None:
    """Creates MLflow's tables in a temporary file, then gives it the name, so that no incomplete database is seen."""
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_name(f"{_unfinished(database)}{uuid.uuid4().hex}")
    MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
    with _opened(unfinished) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # MLflow puts its default experiment below the working directory, which may be DVC's temporary copy.
        _rewrite(connection, "experiments", "artifact_location", Path.cwd(), database.parent)
        _record(connection, database.parent)
        connection.execute("COMMIT")
    with contextlib.suppress(FileExistsError):  # another process was quicker
        os.link(unfinished, database)
    unfinished.unlink(missing_ok=True)


def _unfinished(database: Path) -> str:
    """Returns the name prefix of unfinished databases and their journals."""
    return f".{database.name}."


def _clean(database: Path) -> None:
    """Deletes the files of killed processes: unfinished databases, and second names (hard links) of the finished one.

    None of these files is opened, because closing a second name would release SQLite's locks on the database.
    """
    for path in database.parent.iterdir():
        with contextlib.suppress(OSError):  # another process was quicker, or the folder is read-only
            if path.name.startswith(_unfinished(database)) and (
                path.samefile(database) or path.stat().st_mtime < time.time() - LEFT_BEHIND_SECONDS
            ):
                path.unlink()


@contextlib.contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(
        sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=LOCKED_SECONDS, isolation_level=None)
    ) as connection:
        yield connection


def _follow(connection: sqlite3.Connection, folder: Path) -> None:
    """Rewrites the paths for the database's new folder. Another process may already have done so."""
    for former in _former_folders(connection, folder):
        # New runs always go to the new folder, so that a copy never writes into the original.
        _rewrite(connection, "experiments", "artifact_location", former, folder)
        for table, column in _PATHS:
            _rewrite(connection, table, column, former, folder, where_the_files_are=True)
    _record(connection, folder)


def _former_folders(connection: sqlite3.Connection, folder: Path) -> list[Path]:
    recorded = _recorded(connection)
    if recorded is not None:
        return [Path(recorded)] if recorded != str(folder) else []
    # A database of an earlier version of this project has no record, but its experiments' locations name the folder.
    locations = [row[0] for row in connection.execute("SELECT artifact_location FROM experiments")]
    found = [match for location in locations if (match := _LOCATION.fullmatch(location or ""))]
    formers = {Path(match["default"] or unquote(match["folder"])) for match in found} - {folder}
    # Such a database may also be stored apart from its artifacts, which then have not moved.
    return [
        former for former in sorted(formers) if (folder / _ARTIFACTS).exists() or not (former / _ARTIFACTS).exists()
    ]


def _rewrite(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    former: Path,
    folder: Path,
    *,
    where_the_files_are: bool = False,
) -> None:
    """Replaces `<former>/mlruns` by `<folder>/mlruns` at the start of a column's paths and file: addresses."""
    if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:  # an older MLflow's table
        return
    old, new = former / _ARTIFACTS, folder / _ARTIFACTS
    for row, value in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
        for start, replacement, decode in ((str(old), str(new), str), (old.as_uri(), new.as_uri(), unquote)):
            if not isinstance(value, str) or not (value == start or value.startswith(f"{start}/")):
                continue
            rest = value.removeprefix(start)
            place = decode(rest).lstrip("/")
            if where_the_files_are and (old / place).exists() and not (new / place).exists():
                continue
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (replacement + rest, row))  # noqa: S608


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _recorded(connection: sqlite3.Connection) -> str | None:
    """Returns the folder in which the database was when its paths were written."""
    if _RECORD not in _tables(connection):
        return None
    row = connection.execute(f"SELECT folder FROM {_RECORD}").fetchone()  # noqa: S608
    return str(row[0]) if row else None


def _record(connection: sqlite3.Connection, folder: Path) -> None:
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_RECORD} (folder TEXT NOT NULL)")
    connection.execute(f"DELETE FROM {_RECORD}")  # noqa: S608
    connection.execute(f"INSERT INTO {_RECORD} VALUES (?)", (str(folder),))  # noqa: S608

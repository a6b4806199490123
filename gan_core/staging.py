"""Files that appear whole, and temporary folders for unfinished work.

A lock tells whether the process that made a folder still runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_RANDOM_PART = re.compile(r"[a-z0-9_]{8}")  # of a name that tempfile makes
_PREFIX = ".gan-pipeline-writing-"


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yields a temporary path for a file that replaces `target` if the body succeeds.

    Several processes may write the same file at once. The file may be lost if the power fails: see `write_durably`.

    Raises:
        OSError: the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent, _PREFIX)
    with workplace(target.parent, _PREFIX) as folder:
        yield folder / target.name
        os.replace(folder / target.name, target)


def write_durably(target: Path, content: bytes | memoryview) -> None:
    """Writes a file completely or not at all, even if the process is killed or the power fails.

    Only one process at a time may write the file.
    """
    unfinished = target.with_suffix(".partial")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, target)
    # The rename must be durable too.
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def workplace(parent: Path, prefix: str) -> Iterator[Path]:
    """Yields a new, locked folder in `parent` whose name begins with `prefix`; removes it at the end.

    Raises:
        OSError: the folder cannot be created.
    """
    folder, lock = _claim(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def abandoned(parent: Path, prefix: str) -> Iterator[Path]:
    """Yields the folders that `workplace` created in `parent` with this prefix and whose processes were killed.

    Each is locked while the caller uses it. Folders that this process may not read are left out.
    """
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return
    for name in names:
        folder = parent / name
        if not (name.startswith(prefix) and _RANDOM_PART.fullmatch(name.removeprefix(prefix))) or folder.is_symlink():
            continue
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        except OSError:  # a live process has it, or this file system has no locks
            continue
        finally:
            os.close(lock)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Removes the folders that killed processes left in `parent`. Nothing else there may use this prefix."""
    for folder in abandoned(parent, prefix):
        shutil.rmtree(folder, ignore_errors=True)


def _claim(parent: Path, prefix: str) -> tuple[Path, int]:
    """Creates and locks a folder; tries again if another process removed it as abandoned before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)

"""Removes checkpoints, mirrors, cached features and data that are no longer needed, and prints the bytes freed.

All checkpoints of a finished training are removed; if it then gets more steps, it starts from the beginning. An
unfinished training keeps its newest checkpoint; its other checkpoints are removed when they are old. Running trainings
and records that MLflow has not received are not touched. Old features and classifiers are removed from the cache; they
are computed again when they are needed. With --data, data on a volume that no step has read for long are removed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.cli.option_numbers import number
from components.storage import bucket, objects, paths, transfer, volume
from components.storage.bucket import Address
from components.storage.cache_folder import cache_folder
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

_KEY = re.compile(r"[0-9a-f]{16}")
_CHECKPOINT = re.compile(r"\d{15}-[0-9a-f]{16}\.npz")
_CACHED = re.compile(r"sha256-[0-9a-f]{64}\.npz")
SECONDS_A_DAY = 86_400
_MOST_DAYS = 36_500


@dataclass(frozen=True)
class Removal:
    """Something to remove: its path or address, the reason, its size in bytes, and the function that removes it."""

    place: str
    reason: str
    size: int
    remove: Callable[[], None]


def main() -> None:
    """Reads the command line, and lists and removes what is no longer needed; a dry run only lists it."""
    arguments = parser().parse_args()
    before = time.time() - arguments.days * SECONDS_A_DAY
    freed = 0
    with contextlib.ExitStack() as stack:
        for removal in (
            *_checkpoints(arguments.checkpoints, before, stack),
            *cached(arguments.cache, before),
            *(data(arguments.data, before) if arguments.data else ()),
        ):
            if not arguments.dry_run:
                removal.remove()
            done = "would remove" if arguments.dry_run else "removed"
            print(f"{done} {removal.place}: {removal.reason}, {removal.size:,} bytes")
            freed += removal.size
    print(f"{freed:,} bytes {'would be' if arguments.dry_run else 'were'} freed")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.prune", description=__doc__)
    add = options.add_argument
    add(
        "--checkpoints",
        type=_checkpoints_place,
        default=Path("checkpoints"),
        help="folder with the checkpoints of all trainings, or the gs:// address of their mirrors",
    )
    add("--cache", type=_existing, default=cache_folder(), help="folder of cached results")
    add("--data", type=_existing, help="folder of the volume on which a pipeline's steps keep data")
    add(
        "--days",
        type=number("--days", float, 0, _MOST_DAYS),
        default=30.0,
        help="age at which a checkpoint of an unfinished training, a cached file, or unread data are old",
    )
    add("--dry-run", action="store_true", help="list what would be removed without removing it")
    return options


def _checkpoints_place(text: str) -> Path | Address:
    place = paths.folder_path(text)
    return place if isinstance(place, Address) else _existing(text)


def _existing(text: str) -> Path:
    """Returns the folder that the user names. It must exist, so that a misspelt name does not go unnoticed."""
    if not (folder := paths.local_path(text)).is_dir():
        raise InvalidInput(f"The folder to prune must exist. Received: {text!r}")
    return folder


def _checkpoints(place: Path | Address, before: float, stack: contextlib.ExitStack) -> Iterator[Removal]:
    if isinstance(place, Address):
        yield from mirrors(place, stack)
        return
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        if _KEY.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            yield from _of_training(folder, before, stack)


def _of_training(folder: Path, before: float, stack: contextlib.ExitStack) -> Iterator[Removal]:
    """Yields what to remove of one training on this machine. No process can start it until `stack` is closed."""
    lock = stack.enter_context((folder / "lock").open("a"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    files = sorted(path for path in folder.iterdir() if _CHECKPOINT.fullmatch(path.name))
    records = sorted(folder.glob("tracking-*"))
    if not _finished(records):
        for path in files[:-1]:
            if path.stat().st_mtime < before:
                yield Removal(
                    str(path), "an old checkpoint of an unfinished training", path.stat().st_size, path.unlink
                )
        return
    for path in files:
        yield Removal(str(path), "a checkpoint of a finished training", path.stat().st_size, path.unlink)
    for path in records:
        if not _unsent(path):
            yield Removal(str(path), "records that MLflow has", _size(path), partial(shutil.rmtree, path))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _finished(records: list[Path]) -> bool:
    """Whether there are records of runs and all these runs finished."""
    return bool(records) and all(_status(path) == "FINISHED" for path in records)


def _status(record: Path) -> str:
    from components.tracking.spool import Spool

    try:
        with contextlib.closing(Spool(record)) as spool:
            return str(spool.training["status"])
    except (InvalidInput, OSError):  # damaged or in use, so not known to be finished
        return ""


def _unsent(record: Path) -> str:
    from components.tracking.spool import Spool

    with contextlib.closing(Spool(record)) as spool:
        return spool.unsent()


def mirrors(place: Address, stack: contextlib.ExitStack) -> Iterator[Removal]:
    """Yields the checkpoints of finished trainings in a bucket. A running training is recorded as running."""
    from components.storage.lease import WRITER
    from components.storage.mirror import EARLIER_LISTING

    opened = stack.enter_context(bucket.opened(place))
    prefix = f"{place.name}/" if place.name else ""
    blobs: dict[str, list[Any]] = {}
    for blob in opened.list_blobs(prefix=prefix, retry=objects.retry()):
        key, _, rest = blob.name.removeprefix(prefix).partition("/")
        if _KEY.fullmatch(key) and rest:
            blobs.setdefault(key, []).append(blob)
    for key, found in sorted(blobs.items()):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = {blob.name.removeprefix(f"{prefix}{key}/").partition("/")[0] for blob in found}
        for name in sorted(name for name in names if name.startswith("tracking-")):
            transfer.download_folder(place / key / name, folder / name)
        if not _finished(sorted(folder.iterdir())):
            continue
        for blob in found:
            name = blob.name.removeprefix(f"{prefix}{key}/")
            if name in (WRITER, EARLIER_LISTING) or _CHECKPOINT.fullmatch(name):
                yield Removal(
                    f"gs://{place.bucket}/{blob.name}",
                    "a mirror of a finished training",
                    blob.size,
                    partial(objects.delete, blob),
                )


def cached(folder: Path, before: float) -> Iterator[Removal]:
    """Yields features and classifiers that were written before the time `before`; all other files stay."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _CACHED.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < before:
            yield Removal(str(path), "an old result in the cache", path.stat().st_size, path.unlink)


def data(folder: Path, before: float) -> Iterator[Removal]:
    """Yields data on a volume that were last read or written before the time `before`; all other files stay."""
    for path in sorted(folder.iterdir()):
        if volume.NAME.fullmatch(path.name) and path.is_dir() and path.stat().st_mtime < before:
            yield Removal(str(path), "data that were not read for long", _size(path), partial(volume.remove, path))


if __name__ == "__main__":
    run(main)

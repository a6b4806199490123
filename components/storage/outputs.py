"""Writes outputs atomically: each appears whole or not at all, and replaces only an earlier output of its kind.

The place of an output must not exist, be empty, or hold an earlier output of the same kind. It must not overlap an
input or another output.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.storage.output_kinds import MOST_BYTES, Kind
from components.storage.replacing import fill, recover
from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.staging import workplace


@dataclass(frozen=True)
class Output:
    """A place on this machine that a command writes.

    Attributes:
        place: the path as the user gave it.
        kind: what is written.
    """

    place: Path
    kind: Kind

    def __str__(self) -> str:
        return str(self.place)


@contextlib.contextmanager
def whole_output(output: Output) -> Iterator[Path]:
    """Yields a temporary path for a file or a folder, which becomes the output when the body succeeds.

    After an exception the output is unchanged. After a kill, the next call for the same place restores the output if
    necessary, and removes temporary files of the killed process. The yielded path does not exist yet; its parent does.

    Raises:
        InvalidInput: the place cannot be written, or holds something else.
    """
    with _opened(output) as (target, place):
        yield place / "new"
        _require_own(output, target)
        if (place / "new").is_dir() and target.is_dir():
            fill(place, target, output.kind.mark, _owned(target, output.kind))
        else:
            os.replace(place / "new", target)


def require_writable(*outputs: Output) -> None:
    """Checks that outputs can be written, before a stage does hours of work.

    Raises:
        InvalidInput: a place cannot be written, or holds something else.
    """
    for output in outputs:
        with _opened(output):
            pass


def require_folder(folder: Path) -> None:
    """Checks that a folder can be written or created, for a command that reads and writes it while it runs.

    Raises:
        InvalidInput: it cannot.
    """
    with _explained(folder):
        tempfile.TemporaryFile(dir=_require_folder(folder, folder)).close()


@contextlib.contextmanager
def _opened(output: Output) -> Iterator[tuple[Path, Path]]:
    """Yields the output's true path, and a temporary folder from which files can be renamed to that path.

    Creates the folders above the output, and removes them if they stay empty.
    """
    with contextlib.ExitStack() as stack:
        with _explained(output):
            target = true_place(output.place)
            _require_folder(output.place.parent, output.place)
            for parent in reversed([one for one in target.parents if not os.path.lexists(one)]):
                parent.mkdir(exist_ok=True)
                stack.callback(_remove_if_empty, parent)
            prefix = f".{target.name}."
            for parent in (target.parent, target):
                recover(parent, prefix, target)
            _require_own(output, target)
            place = stack.enter_context(_workplace(target, prefix))
        yield target, place


@contextlib.contextmanager
def _explained(place: Path | Output) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # resolving a circle of links is a RuntimeError up to Python 3.12
        if isinstance(error, OSError) and isinstance(failure_of(error), TryAgain) and error.errno != errno.EROFS:
            raise
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"The output's folder must be writable: {reason}. Received: {place}") from None


def _require_folder(folder: Path, place: Path) -> Path:
    """Returns the nearest of `folder` and its parents that exists, after checking that it is a folder."""
    existing = next(one for one in (folder, *folder.parents, Path()) if os.path.lexists(one))
    if existing.is_file():
        raise InvalidInput(f"The output's folder must be a folder, but {existing} is a file. Received: {place}")
    return existing


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def true_place(place: Path) -> Path:
    """Returns the absolute path. A link to a folder is followed. A link to a file is not, so the link is replaced."""
    if place.is_dir() or place.name == "..":
        return place.resolve()
    return place.parent.resolve() / place.name


def _require_own(output: Output, target: Path) -> None:
    """Checks that only an earlier output of the same kind would be replaced."""
    kind = output.kind
    if kind.mark:
        replaceable = not os.path.lexists(target) or (
            target.is_dir() and (_is_empty(target, f".{target.name}.") or bool(_owned(target, kind)))
        )
    else:
        replaceable = not os.path.lexists(target) or _read(target, kind) is not None
    if not replaceable:
        raise InvalidInput(f"{kind.rule} Received: {output}")


def _owned(folder: Path, kind: Kind) -> set[str]:
    """Returns the paths of an earlier output's files."""
    return kind.owned(_read(folder / kind.mark, kind))


def _is_empty(folder: Path, prefix: str) -> bool:
    """Whether the folder contains only temporary folders of this output."""
    return all(name.startswith(prefix) for name in os.listdir(folder))


def _read(path: Path, kind: Kind) -> bytes | None:
    """Returns the content of a file, or of a folder's mark, if the output may be replaced; otherwise None."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return None
    try:
        content = path.read_bytes()
    except PermissionError:
        return None
    return content if kind.is_own(content) else None


@contextlib.contextmanager
def _workplace(target: Path, prefix: str) -> Iterator[Path]:
    """Yields a temporary folder next to `target`, or in it if files cannot be renamed into it, as for a mount point."""
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(workplace(target.parent, prefix))
            if target.is_dir():
                probe = place / "probe"
                probe.mkdir()
                os.rename(probe, target / place.name)
                os.rmdir(target / place.name)
        except OSError:
            if not target.is_dir():
                raise
            stack.close()
            place = stack.enter_context(workplace(target, prefix))
        yield place

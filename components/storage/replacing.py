"""Replaces an earlier output's files but keeps their folder: a mount point, a working directory, a link's target.

If the process is killed meanwhile, the next start undoes the replacement: the workplace, a temporary folder, records
which files were to be moved.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path, PurePosixPath

from gan_core.errors import InvalidInput
from gan_core.staging import abandoned, write_durably

_OF_A_WORKPLACE = {"new", "old", "names", "names.partial", "probe", "repository"}


def fill(place: Path, target: Path, mark: str, owned: set[str]) -> None:
    """Moves the files of the workplace's folder `new` into the folder `target`.

    The mark is removed first and added last, so a folder with a mark is complete. The file `names` in the workplace
    exists only in between; a later start uses it to undo an interrupted replacement.

    Args:
        place: the workplace.
        target: the folder; it stays, with all files that are not replaced.
        mark: name of the file that marks the folder as complete.
        owned: paths of the earlier output's files in the folder, which are replaced or removed.

    Raises:
        InvalidInput: a foreign file has the path of a new file.
    """
    new, old = place / "new", place / "old"
    names = sorted(_files(new), key=lambda name: name == mark)
    earlier = [name for name in owned if _is_inside(target, name)]
    for name in sorted(set(names) - set(earlier)):
        if os.path.lexists(target / name):
            raise InvalidInput(f"An output replaces only files of an earlier one. Received: {target / name}")
    write_durably(place / "names", json.dumps(names).encode())
    try:
        for name in sorted(earlier, key=lambda name: name != mark):
            _move(target, old, name)
        for name in names:
            _move(new, target, name)
    except BaseException:
        _undo(place, target)
        raise
    (place / "names").unlink()


def recover(parent: Path, prefix: str, target: Path) -> None:
    """Removes the workplaces of killed processes for `target`, after restoring the output that they were replacing."""
    for left in abandoned(parent, prefix):
        if set(os.listdir(left)) <= _OF_A_WORKPLACE:
            _undo(left, target)
            shutil.rmtree(left, ignore_errors=True)


def _undo(place: Path, target: Path) -> None:
    """Moves the new files out of `target`, and moves the earlier files back."""
    if not os.path.lexists(target) and (place / "old").is_dir():  # an earlier version moved whole folders
        os.rename(place / "old", target)
        return
    try:
        names = json.loads((place / "names").read_bytes())
    except (OSError, ValueError):
        return
    for name in names:
        if not os.path.lexists(place / "new" / name) and os.path.lexists(target / name):
            _move(target, place / "new", name)
    for name in _files(place / "old"):
        if not os.path.lexists(target / name):
            _move(place / "old", target, name)


def _files(folder: Path) -> list[str]:
    """Returns the paths of all files below a folder, relative to it."""
    return [
        os.path.relpath(os.path.join(parent, name), folder) for parent, _, names in os.walk(folder) for name in names
    ]


def _is_inside(folder: Path, name: str) -> bool:
    """Whether the file `name` exists below the folder, with no link in between."""
    path = folder / name
    is_folder = path.is_dir() and not path.is_symlink()
    return os.path.lexists(path) and not is_folder and path.parent.resolve() == folder / PurePosixPath(name).parent


def _move(source: Path, target: Path, name: str) -> None:
    """Renames one file. Creates the folders that it moves to, and removes folders that become empty."""
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    os.rename(source / name, target / name)
    for parent in PurePosixPath(name).parents[:-1]:
        with contextlib.suppress(OSError):
            os.rmdir(source / parent)

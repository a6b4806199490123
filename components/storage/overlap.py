"""Checks that a command's outputs do not overlap its inputs."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Sequence
from pathlib import Path

from components.storage.bucket import Address
from components.storage.outputs import true_place
from gan_core.errors import InvalidInput


def require_apart(
    written: Sequence[Path | Address], read: Sequence[Path | Address], folders: Sequence[Path | Address]
) -> None:
    """Checks that no output overlaps an input or another output, and that no working folder is or lies in an input.

    Two places overlap if they are the same or one contains the other. Links are followed.

    Args:
        written: outputs.
        read: inputs.
        folders: folders that are both read and written; an output or an input may lie in one.

    Raises:
        InvalidInput: two places overlap.
    """
    whereabouts = {place: _Whereabouts(place) for place in (*written, *read, *folders)}
    for first, second in (*itertools.combinations(written, 2), *itertools.product(written, (*read, *folders))):
        ours, theirs = whereabouts[first], whereabouts[second]
        if ours.own & theirs.all or (theirs.own & ours.all and second not in folders):
            raise InvalidInput(
                f"An output must not be, hold or lie in an input or another output. Received: {first} and {second}"
            )
    for folder, second in itertools.product(folders, read):
        if whereabouts[second].own & whereabouts[folder].all:
            raise InvalidInput(
                "A folder of checkpoints or of the cache must not be or lie in an input. "
                f"Received: {folder} and {second}"
            )


class _Whereabouts:
    """Identities of a place, which do not depend on the spelling of its path.

    Attributes:
        own: identities of the place itself and of the place that its links lead to. The identity of an existing folder
            is its device and inode number; any other identity is the path.
        all: `own`, and the identities of all folders above.
    """

    def __init__(self, place: Path | Address) -> None:
        if isinstance(place, Address):
            parts = place.name.split("/") if place.name else []
            self.own = {str(place)}
            self.all = {str(Address(place.bucket, "/".join(parts[:count]))) for count in range(len(parts) + 1)}
            return
        try:
            places = {true_place(place), place.resolve()}
        except (OSError, RuntimeError):  # a circle of links, which causes an error where the path is used
            places = {place.absolute()}
        self.own = set(map(_identity, places))
        self.all = self.own | {_identity(parent) for place in places for parent in place.parents}


def _identity(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return str(path)
    return f"{found.st_dev} {found.st_ino}" if stat.S_ISDIR(found.st_mode) else str(path)

"""Members of archives. They are read where they lie: an archive is never unpacked to the disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gan_core.data.folders import is_ignored
from gan_core.errors import UnreadableItem
from gan_core.untrusted_files import RawFile


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive, which may hold any characters.
        read: returns its content if that has at most the given number of bytes, and else raises UnreadableItem. It can
            be pickled, and several threads or processes may call it.
    """

    name: str
    read: Callable[[int], bytes]

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and the name of the file. No part leads out of the archive."""
        return tuple(part for part in re.split(r"[/\\]", self.name) if part not in ("", ".", ".."))

    @property
    def is_ignored(self) -> bool:
        """Whether the file or a folder of it is hidden or of an operating system."""
        return any(map(is_ignored, self.parts))


@runtime_checkable
class Container(Protocol):
    """Something that is no archive file, but is read as an archive."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def members(self) -> Iterator[Member]:
        """Yields its files, sorted by name."""


Archive = RawFile | Container


def set_aside(reason: str, most: int) -> bytes:
    """The `read` of a member that cannot be used.

    Raises:
        UnreadableItem: always.
    """
    del most
    raise UnreadableItem(reason)

"""Reads files from outside only if they are regular files of limited size, wherever they lie."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal, Protocol


class RawFile(Protocol):
    """A file of raw data: a `Path` of this machine, or something that can be read in the same way.

    It can be printed, compared, hashed and pickled. What is done with it raises InvalidInput if the file has changed,
    and TryAgain if the place where it lies does not answer.
    """

    @property
    def name(self) -> str:
        """The last part of its path."""

    def __hash__(self) -> int: ...

    def stat(self) -> os.stat_result:
        """Returns its size and its time; the time of a changed file is another one."""

    def open(self, mode: Literal["rb"], buffering: int) -> BinaryIO:
        """Opens it; at least `buffering` bytes are read at a time, or if −1, as many as suit its place."""


def for_library(file: RawFile) -> Path | BinaryIO:
    """Returns what a library opens: the path of a file of this machine; any other file is opened."""
    return file if isinstance(file, Path) else file.open("rb", 2**17)


def require_regular(path: RawFile) -> int:
    """Returns the size in bytes of a file, which must be regular or a link to a regular file.

    Other files are refused, because reading a pipe or a device may never end.

    Raises:
        OSError: it is not a regular file or does not exist.
    """
    try:
        status = path.stat()
    except ValueError:
        raise OSError(errno.EINVAL, "A path must not contain null characters") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return status.st_size


def read_bytes(path: Path, most: int = 2**30) -> bytes:
    """Returns the content of a regular file of at most `most` bytes; a larger file is not read.

    Raises:
        OSError: it is not a regular file, is larger, or cannot be read.
    """
    size = require_regular(path)
    if size > most:
        raise OSError(errno.EFBIG, f"{size} bytes, more than the limit of {most}")
    return path.read_bytes()

"""Reads files from outside only if they are regular files of limited size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def require_regular(path: Path) -> int:
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

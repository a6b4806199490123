"""The failures that a user can act on. Every other exception is a bug in this project."""

from __future__ import annotations

import errno

_MOST_CHARACTERS = 1000  # in a line of a message
_FULL = (errno.ENOSPC, errno.EDQUOT)
_AWAY = (
    *(errno.EIO, errno.ESTALE, errno.EROFS, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ENOTCONN),
    *(errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
)
_MISTAKEN = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EEXIST, errno.ENOTEMPTY),
)


class InvalidInput(Exception):
    """The user's mistake: a bad parameter, path or file. The message states the rule and ends with `Received: …`.

    The middle of a very long line is left out.

    >>> PrepareConfig.parse(params["prepare"] | {"seed": -1})
    Traceback (most recent call last):
    gan_core.errors.InvalidInput: The parameter 'prepare.seed' must be greater than or equal to 0. Received: seed=-1
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(_shortened, message.split("\n"))))


def _shortened(line: str) -> str:
    half = _MOST_CHARACTERS // 2
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:half]} … {line[-half:]}"


class UnreadableItem(Exception):
    """One raw item cannot be used. The message is the reason, which the manifest records."""


class TryAgain(Exception):
    """The outside world failed: a full disk, a server that does not answer. The same call may succeed later.

    >>> with Checkpoints(Path("checkpoints"), kept=3), Checkpoints(Path("checkpoints"), kept=3):
    ...     pass
    Traceback (most recent call last):
    gan_core.training.checkpoints.InUse: Another process is training with these checkpoints. Received: checkpoints
    """


def failure_of(error: OSError) -> InvalidInput | TryAgain | None:
    """Classifies an operating system error that more specific code did not handle; None if it is a bug in this project.

    | the system says | failure | why |
    |---|---|---|
    | no space, quota used up | TryAgain | space can be freed |
    | input/output error, stale or lost mount, disk turned read-only, device busy or away | TryAgain | may come back |
    | too many open files, no memory for the kernel | TryAgain | the machine is busy |
    | a named file is absent, may not be accessed, is a folder or a cycle of links | InvalidInput | stays as it is |

    There is one exception: `components.storage.outputs` raises InvalidInput if an output's folder is read-only when a
        command begins.
    """
    if error.errno in _FULL:
        return TryAgain(f"The disk is full: {error}. Free some space and run the same command again.")
    if error.errno in _AWAY:
        return TryAgain(f"The disk or the operating system failed: {error}. Run the same command again.")
    if error.errno in _MISTAKEN and error.filename is not None:
        return InvalidInput(f"A file must exist and be accessible: {error.strerror}. Received: {error.filename}")
    return None

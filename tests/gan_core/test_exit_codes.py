"""Exit codes and messages of a command that fails."""

from __future__ import annotations

import errno

import pytest

from gan_core.errors import InvalidInput, TryAgain
from gan_core.exit_codes import run


def test_no_secret_of_an_address_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise InvalidInput("Received: https://me:hunter2@host/w.pth?token=hunter2")

    with pytest.raises(SystemExit):
        run(fail)
    assert capsys.readouterr().err == "error: Received: https://host/w.pth?…\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidInput("Wrong. Received: x"), 2, "error: Wrong. Received: x\n"),
        (TryAgain("Away."), 75, "error: Away.\n"),
        (KeyboardInterrupt(), 130, "error: Interrupted.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 75, "error: The disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "reports"), 75, "error: The disk is full"),
        (OSError(errno.EIO, "Input/output error", "data"), 75, "error: The disk or the operating system failed"),
        (OSError(errno.EROFS, "Read-only file system", "data"), 75, "error: The disk or the operating system failed"),
        (PermissionError(errno.EACCES, "Permission denied", "data"), 2, "error: A file must exist and be accessible"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), 2, "error: A file must exist and be accessible"),
    ],
)
def test_each_error_has_its_exit_code_and_message(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(message)


def test_an_unexpected_error_keeps_its_traceback() -> None:
    def main() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        run(main)

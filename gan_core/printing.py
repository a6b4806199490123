"""Makes text from outside safe to print: no control of the terminal, no forged lines, no secrets."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
import unicodedata
from pathlib import Path
from types import TracebackType
from typing import NoReturn, TextIO, cast

from gan_core.masking import masked

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes creates this file in a container, and shows its content as the reason why the container ended."""
_MOST_BYTES = 2000  # of that file; Kubernetes truncates it at 4,096

# Control characters, line separators, bidirectional overrides, and bytes that are not UTF-8 (surrogates).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMES = {"\t": "TAB", "\n": "LINE FEED", "\f": "FORM FEED", "\r": "CARRIAGE RETURN"}  # Unicode gives them no name
_CONTROL_EXCEPT_LAYOUT = re.compile(f"(?![\n\t]){_CONTROL.pattern}")


def printable(text: str) -> str:
    r"""The text in one line, with an escape such as `\x1b` for each character that controls a terminal.

    Line breaks are escaped too, as are bytes of file names that are not UTF-8: `\xe9`.
    """
    return _CONTROL.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Like `printable`, but keeps line breaks and tabs."""
    return _CONTROL_EXCEPT_LAYOUT.sub(_escape, text)


def character_name(character: str) -> str:
    """The code point and the Unicode name of a character that may be invisible: `U+00A0 (NO-BREAK SPACE)`."""
    name = _NAMES.get(character) or unicodedata.name(character, "a character without a name")
    return f"U+{ord(character):04X} ({name})"


def guard_output() -> None:
    """From now on, escapes control characters in all output of this process and masks secrets.

    Line breaks and tabs stay. The output includes logs, warnings, tracebacks and what libraries print.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Guarded):
            setattr(sys, name, cast(TextIO, _Guarded(stream)))
    sys.excepthook = _print_exception


def fail(code: int, message: object) -> NoReturn:
    """Ends the process with the exit code, after one message on stderr. Lines after the first are indented."""
    guard_output()
    sys.stderr.write("error: {}\n".format(str(message).replace("\n", "\n  ")))
    _tell_kubernetes(code, str(message))
    sys.exit(code)


def _tell_kubernetes(code: int, message: str) -> None:
    """Writes `exit code <code>: <message>` as the container's termination message.

    Kubeflow's launcher replaces each exit code by 1, so the message is all that says whether a retry can help; Argo
    reads it (infra/argo/retry-patch.yaml).
    """
    if TERMINATION_LOG.is_file():
        with contextlib.suppress(OSError):
            text = printable(masked(f"exit code {code}: {message}"))
            TERMINATION_LOG.write_bytes(text.encode()[:_MOST_BYTES])


class _Guarded:
    """A text stream whose `write` escapes characters that control a terminal, and masks secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        # A progress bar begins with a carriage return; anywhere else a carriage return would hide the text before it.
        start = "\r" if text.startswith("\r") else ""
        self._stream.write(start + printable_lines(masked(text[len(start) :])))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # Python's form of a file name's byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
    _tell_kubernetes(1, "".join(traceback.format_exception_only(error)).strip())

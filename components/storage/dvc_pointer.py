"""Reads a DVC pointer as it is passed to a command: a .dvc file or its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from gan_core.raw_data import DvcPointer

NOTHING_FETCHED = "NOTHING-FETCHED"
"""If there is nothing to fetch, `fetch` writes only this file: an object store has no empty folders, so Kubeflow could
neither show nor copy one. The folder also differs from that of a failed fetch."""


def read_pointer(pointer: str) -> DvcPointer:
    """Reads a .dvc file, or the text of one, or the text of one output in dvc.lock.

    Raises:
        InvalidInput: it is not a pointer that `dvc add` or `dvc repro` of DVC 3 writes for a folder.
    """
    import yaml

    from gan_core.raw_data import DvcPointer

    return DvcPointer.parse(_text(pointer), yaml.safe_load)


def _text(pointer: str) -> str:
    if "\n" in pointer or not pointer.endswith(".dvc"):
        return pointer
    from gan_core.raw_data import MAX_CHARACTERS

    try:
        with open(pointer, encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"--pointer must be a readable .dvc file: {reason}. Received: {pointer[:200]}") from None

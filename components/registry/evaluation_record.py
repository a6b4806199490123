"""Reads the record of an evaluation from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.storage.output_kinds import MOST_BYTES
from gan_core.errors import InvalidInput
from gan_core.untrusted_files import read_bytes

if TYPE_CHECKING:
    from gan_core.evaluation.protocol import Evaluation


def read_evaluation(path: Path) -> Evaluation:
    """Reads a record that components.evaluate wrote.

    Raises:
        InvalidInput: it is not a regular file, too large, unreadable, or not such a record.
    """
    from gan_core.evaluation.protocol import Evaluation

    try:
        return Evaluation.parse(read_bytes(path, MOST_BYTES), str(path))
    except OSError as error:
        raise InvalidInput(
            f"An evaluation's record must be a file that components.evaluate wrote: {error.strerror}. Received: {path}"
        ) from None

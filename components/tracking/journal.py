"""Files of records. A power cut leaves the old or the new content, and damage affects only the damaged records."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gan_core.staging import write_durably


def set_aside(path: Path) -> None:
    """Renames an unreadable file and warns about it. It is kept, because a person may still recover something."""
    places = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    place = next(place for place in places if not place.exists())
    path.rename(place)
    print(
        f"warning: A tracking record cannot be read. A new one is started; the damaged file is kept as {place}",
        file=sys.stderr,
    )


class Journal:
    """An append-only file of JSON objects, one per line. A line that a kill cut short is dropped.

    Attributes:
        records: all objects, including those from before a kill. Objects are only appended.
        damaged: whether lines were unreadable. These are not in `records`; the file with them is kept under another
            name.
    """

    def __init__(self, path: Path, form: type[BaseModel]) -> None:
        """Opens or creates the file; a line that does not match `form` counts as unreadable."""
        self.records: list[dict[str, Any]] = []
        self.damaged = False
        content = _content(path)
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                form.model_validate_json(line, strict=True)
                self.records.append(json.loads(line))
            except (ValueError, RecursionError):  # a ValidationError is a ValueError
                self.damaged = True
        torn = content[len(whole) :]
        if self.damaged or torn[:1] not in (b"", b"{") or (path.exists() and not path.is_file()):
            self.damaged = True
            set_aside(path)
            write_durably(path, b"".join(json.dumps(record).encode() + b"\n" for record in self.records))
        elif torn:
            os.truncate(path, len(whole))
        elif not path.exists():
            write_durably(path, b"")
        self._file = path.open("ab")

    def append(self, record: Mapping[str, object]) -> None:
        """Writes one record and flushes it to the operating system."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        self.records.append(dict(record))

    def sync(self) -> None:
        """Waits until the records are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; the records stay."""
        self.sync()
        self._file.close()


def read_record(path: Path, form: type[BaseModel]) -> dict[str, Any] | None:
    """Returns the JSON object in a file; None if the file is missing or contains something else."""
    try:
        content = _content(path)
        form.model_validate_json(content, strict=True)
        record: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record


def _content(path: Path) -> bytes:
    """Returns the file's bytes; empty if it is missing or a folder."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""

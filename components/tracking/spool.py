"""Keeps a training's records for MLflow on disk, so that none is lost while the server is unavailable."""

from __future__ import annotations

import fcntl
import io
import json
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, NonNegativeInt

from components.tracking.journal import Journal, read_record, set_aside
from gan_core.errors import InvalidInput
from gan_core.metric_names import current
from gan_core.staging import write_durably

_TRAINING_FILE, _SENT_FILE = "training.json", "sent.json"
_HISTORY_FILE, _MACHINE_FILE = "history.jsonl", "machine.jsonl"
FILES = (_TRAINING_FILE, _SENT_FILE, _HISTORY_FILE, _MACHINE_FILE)
PICTURES = "pictures"
"""The folder of the pictures and sounds, each `<name>+<step>.png` or `.wav`."""
_PICTURE = re.compile(rf"{PICTURES}/[^+/]+\+[0-9]+\.(png|wav)")


class _Record(BaseModel):
    """A row of metrics or a reading of the machine."""

    step: int
    timestamp: int
    figures: Annotated[dict[str, float], Field(min_length=1)]


class _Dataset(BaseModel):
    name: str
    digest: str
    profile: dict[str, Any]


class _Training(BaseModel):
    id: str
    start_time: int
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
    end_time: int | None
    parameters: dict[str, str]
    tags: dict[str, str]
    dataset: _Dataset


class _Sent(BaseModel):
    run_id: str | None
    history: NonNegativeInt
    machine: NonNegativeInt
    pictures: list[str]
    status: str | None


class Spool:
    """The folder of one training's records: rows, machine readings, pictures, sounds, and how much is sent.

    Attributes:
        history: rows of metrics, each with `step` (images seen) and `timestamp` (of its first writing, in
            milliseconds).
        machine: readings of the machine, in the same form.
        training: the run's local id, start, status, parameters, tags and data set. Written at the first start.
        sent: the MLflow run, and how many records of each kind it has.
    """

    def __init__(self, folder: Path, training: Mapping[str, object] | None = None) -> None:
        """Opens the spool in `folder`; creates it if it is missing and `training` is given.

        Raises:
            InvalidInput: there is no readable spool and `training` is None, or another process writes to it.
        """
        if training is not None:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        elif not (folder / _TRAINING_FILE).exists():
            raise InvalidInput(
                f"A tracking folder must hold a {_TRAINING_FILE} that components.train wrote. Received: {folder}"
            )
        self.folder = folder
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise InvalidInput(
                f"A running training sends its records itself: wait for its end. Received: {folder}"
            ) from None
        self.training = self._open_training(training)
        self.history = Journal(folder / _HISTORY_FILE, _Record)
        for row in self.history.records:  # an earlier version of this project may have written them
            row["figures"] = {current(name): value for name, value in row["figures"].items()}
        self.machine = Journal(folder / _MACHINE_FILE, _Record)
        self.sent: dict[str, Any] = {}
        self._open_sent()

    def _open_training(self, training: Mapping[str, object] | None) -> dict[str, Any]:
        path = self.folder / _TRAINING_FILE
        if training_record := read_record(path, _Training):
            return training_record
        if training is None:
            self._lock.close()
            raise InvalidInput(
                f"The file {_TRAINING_FILE} must be readable: start the training again, and it sends the records. "
                f"Received: {self.folder}"
            )
        if path.exists():
            set_aside(path)
        start = {"id": uuid.uuid4().hex, "start_time": now_milliseconds(), "status": "RUNNING", "end_time": None}
        self._write(_TRAINING_FILE, {**start, **training})
        return {**start, **training}

    def _open_sent(self) -> None:
        """Reads what has been sent. Records in doubt are sent again, which changes nothing in MLflow."""
        path = self.folder / _SENT_FILE
        found = read_record(path, _Sent)
        self._first_reading = int(found["machine"]) if found else 0
        if found is None:
            if path.exists():
                set_aside(path)
            self.forget()
            return
        self.sent = found
        for kind, journal in (("history", self.history), ("machine", self.machine)):
            if journal.damaged or found[kind] > len(journal.records):  # records were lost, so the count is not reliable
                self.mark(**{kind: 0})

    def forget(self) -> None:
        """Records that nothing has been sent, because the MLflow run does not exist or was deleted."""
        self.mark(run_id=None, history=0, machine=0, pictures=[], status=None)

    def mark(self, **progress: object) -> None:
        """Records on disk what has been sent."""
        self.sent.update(progress)
        self._write(_SENT_FILE, self.sent)

    def set_status(self, status: str) -> None:
        """Records the training's status, in MLflow's terms."""
        self.training.update(status=status, end_time=None if status == "RUNNING" else now_milliseconds())
        self._write(_TRAINING_FILE, self.training)

    def save_picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Writes `image` [H, W, C] as `<name>+<step>.png`, unless that file exists."""
        from PIL import Image

        path = self.folder / PICTURES / f"{name}+{step}.png"
        if not path.exists():
            content = io.BytesIO()
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
                content, format="png", compress_level=1
            )
            write_durably(path, content.getvalue())

    def save_sound(self, step: int, name: str, content: bytes) -> None:
        """Writes the content of a WAV file as `<name>+<step>.wav`, unless that file exists."""
        path = self.folder / PICTURES / f"{name}+{step}.wav"
        if not path.exists():
            write_durably(path, content)

    def pictures(self) -> list[Path]:
        """Returns the pictures and sounds, oldest step first."""
        found = [path for path in (self.folder / PICTURES).glob("*") if is_picture(path.relative_to(self.folder))]
        return sorted(found, key=lambda path: (int(path.stem.split("+")[1]), path))

    def next_reading(self) -> int:
        """Returns the step of the next machine reading; the count continues even if readings were lost."""
        steps = [int(record["step"]) for record in self.machine.records[-1:]]
        return max([self._first_reading, *(step + 1 for step in steps)])

    def unsent(self) -> str:
        """Describes what has not been sent; empty if everything has been sent."""
        counts = {
            "rows": len(self.history.records) - self.sent["history"],
            "machine readings": len(self.machine.records) - self.sent["machine"],
        }
        waiting = [path for path in self.pictures() if path.name not in self.sent["pictures"]]
        for kind, suffix in (("pictures", ".png"), ("sounds", ".wav")):
            counts[kind] = sum(path.suffix == suffix for path in waiting)
        parts = [f"{count} {kind}" for kind, count in counts.items() if count]
        if self.sent["status"] != self.training["status"]:
            parts.append("the run's end")
        return ", ".join(parts)

    def close(self) -> None:
        """Closes the files and lets another process open the folder."""
        for file in (self.history, self.machine, self._lock):
            file.close()

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        write_durably(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())


def is_picture(path: Path) -> bool:
    """Whether a path, relative to the records' folder, is that of a picture or a sound."""
    return _PICTURE.fullmatch(path.as_posix()) is not None


def now_milliseconds() -> int:
    """Returns the milliseconds since 1970, MLflow's unit of time."""
    return time.time_ns() // 1_000_000

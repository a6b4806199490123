"""What a training tells MLflow, first on disk: nothing is lost while the server is away. Knows nothing of MLflow."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.metric_names import current

_TRAINING_FILE = "training.json"
_SENT_FILE = "sent.json"


class Journal:
    """An append-only file of JSON objects, one a line. A line that a kill tore off is dropped.

    Attributes:
        records: all objects, from before a kill too; only ever appended to.
    """

    def __init__(self, path: Path) -> None:
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(path, len(whole))
        self.records: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        self._file: TextIO = path.open("a", encoding="utf-8")

    def append(self, record: Mapping[str, object]) -> None:
        """Writes one record through to the operating system."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self.records.append(dict(record))

    def close(self) -> None:
        """Closes the file; the records stay."""
        self._file.close()


class Spool:
    """The folder of one training's records: rows, machine readings, pictures, and how much of them has been sent.

    Attributes:
        history: rows of figures, each with `step` (images seen) and `timestamp` (milliseconds of its first writing).
        machine: readings of the machine, in the same form.
        training: what the run is: its id here, start, parameters, tags, data set. Written once, with the first start.
        sent: the MLflow run, and how many records of each kind it has.
    """

    def __init__(self, folder: Path, training: Mapping[str, object] | None = None) -> None:
        """Opens the spool in `folder`; with `training`, makes it if it is not there yet.

        Raises:
            InvalidInput: there is no spool and none is to be made, or another process writes to it.
        """
        if training is not None:
            (folder / "pictures").mkdir(parents=True, exist_ok=True)
        elif not (folder / _TRAINING_FILE).exists():
            raise InvalidInput(
                f"A tracking folder holds a {_TRAINING_FILE}, written by components.train. Received: {folder}"
            )
        self.folder = folder
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(f"A running training sends its records by itself. Received: {folder}") from None
        if not (folder / _TRAINING_FILE).exists():
            start = {"id": uuid.uuid4().hex, "start_time": now_milliseconds(), "status": "RUNNING", "end_time": None}
            self._write(_TRAINING_FILE, {**start, **(training or {})})
        self.training: dict[str, Any] = self._read(_TRAINING_FILE)
        self.history = Journal(folder / "history.jsonl")
        for row in self.history.records:  # an earlier version of this project may have written them
            row["figures"] = {current(name): value for name, value in row["figures"].items()}
        self.machine = Journal(folder / "machine.jsonl")
        self.sent: dict[str, Any] = {}
        if (folder / _SENT_FILE).exists():
            self.sent = self._read(_SENT_FILE)
        else:
            self.forget()

    def forget(self) -> None:
        """Nothing has been sent: the MLflow run is not there (any more)."""
        self.mark(run_id=None, history=0, machine=0, pictures=[], status=None)

    def mark(self, **progress: object) -> None:
        """Notes on disk what has been sent."""
        self.sent.update(progress)
        self._write(_SENT_FILE, self.sent)

    def set_status(self, status: str) -> None:
        """Notes that the training runs, or how it ended, in MLflow's words."""
        self.training.update(status=status, end_time=None if status == "RUNNING" else now_milliseconds())
        self._write(_TRAINING_FILE, self.training)

    def save_picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Writes `image` [H, W, C] as `<name>+<step>.png`, unless it is there."""
        from PIL import Image

        path = self.folder / "pictures" / f"{name}+{step}.png"
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
                unfinished, format="png", compress_level=1
            )
            unfinished.rename(path)

    def pictures(self) -> list[Path]:
        """The pictures, oldest step first."""
        return sorted((self.folder / "pictures").glob("*.png"), key=lambda path: (int(path.stem.split("+")[1]), path))

    def unsent(self) -> str:
        """What has not been sent, in words; empty if everything has."""
        counts = {
            "rows": len(self.history.records) - self.sent["history"],
            "machine readings": len(self.machine.records) - self.sent["machine"],
            "pictures": len(self.pictures()) - len(self.sent["pictures"]),
        }
        parts = [f"{count} {kind}" for kind, count in counts.items() if count]
        if self.sent["status"] != self.training["status"]:
            parts.append("the run's end")
        return ", ".join(parts)

    def close(self) -> None:
        """Closes the files and lets another process open the folder."""
        for file in (self.history, self.machine, self._lock):
            file.close()

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return content

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        unfinished = self.folder / f".{name}"
        unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(self.folder / name)


def now_milliseconds() -> int:
    """Milliseconds since 1970, as MLflow counts them."""
    return time.time_ns() // 1_000_000

"""Tracks a training in MLflow. The training's steps never wait for the server.

Rows, pictures and sounds go to disk (components/tracking/spool.py), and a background thread sends them in order.
Sending a record twice changes nothing, so records that may not have arrived are sent again. The command
`python -m components.tracking send <folder>` sends what an ended training could not.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.storage.bucket import Address
from components.tracking.address import is_remote
from components.tracking.failures import explain
from components.tracking.lineage import lineage
from components.tracking.machine import Machine
from components.tracking.run_name import run_name
from components.tracking.sender import Sender
from components.tracking.spool import Spool, now_milliseconds
from gan_core.data.manifest import Manifest
from gan_core.masking import masked

SEND_EVERY_SECONDS = 10.0
PATIENCE_SECONDS = 15.0  # the longest wait for a server that does not answer, at the end of a training


class TrainingTracker:
    """One MLflow run for one training, shared by all its starts.

    Enter it after TensorFlow has been imported: MLflow is imported in the background, and two threads should not
    import their common packages at the same time.

    Args:
        folder: folder of the records; the same for every start of the same training.
        permanent_location: where the records are stored after the training, if not in `folder`.
        passed_on: whether the caller passes the records of a finished training to a later step, which sends unsent
            ones.
        parameters: the train section; tracked as `train.<key>`, next to the data's `prepare.<key>`.
        tags: tags in addition to the code's origin, which is always tracked.
        dataset: the prepared data's manifest.
    """

    def __init__(
        self,
        folder: Path,
        *,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        dataset: Manifest,
        permanent_location: Path | Address | None = None,
        passed_on: bool = False,
    ) -> None:
        values = {f"train.{key}": value for key, value in parameters.items()}
        values |= {f"prepare.{key}": value for key, value in dataset.settings.items()}
        tags = {**lineage(), "data_digest": dataset.digest, **tags}
        training = {
            "name": run_name(dataset.source, dataset.shape, parameters, tags.get("dvc_experiment")),
            "parameters": {key: masked(str(value)) for key, value in values.items()},
            "tags": tags,
            "dataset": {
                "name": masked(dataset.source),
                "digest": dataset.digest,
                "profile": {"shape": dataset.shape, "counts": dataset.counts, "classes": len(dataset.classes)},
            },
        }
        self._spool = Spool(folder, training)
        self._location = permanent_location or folder
        self._passed_on = passed_on
        self._logged = {(row["step"], name) for row in self._spool.history.records for name in row["figures"]}
        self._stop = threading.Event()
        self._contacted = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def __enter__(self) -> Self:
        self._spool.set_status("RUNNING")
        # MLflow's import runs full garbage collections, which would also traverse all of TensorFlow's objects.
        gc.freeze()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run as FINISHED, as FAILED, or as KILLED if it was interrupted; the next start reopens it."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt | SystemExit)
        self._spool.set_status("FINISHED" if kind is None else "KILLED" if interrupted else "FAILED")
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS if is_remote() else None)
        gc.unfreeze()
        if unsent := self._spool.unsent():
            passed_on = self._passed_on and kind is None
            send = f"Send them later: python -m components.tracking send {self._location}"
            _say(
                f"MLflow did not receive {unsent}{self._problem and f' ({self._problem})'}. "
                + ("They are in the output --records, which the evaluation sends." if passed_on else send)
            )
        self._spool.close()

    @property
    def run_id(self) -> str | None:
        """The MLflow run; None while the server is unavailable. Waits for the first contact to succeed or fail."""
        self._contacted.wait(PATIENCE_SECONDS if is_remote() else None)
        run_id: str | None = self._spool.sent["run_id"]
        return run_id

    def log_row(self, images_seen: int, figures: Mapping[str, float]) -> None:
        """Records a row's new metrics: a resumed training repeats rows, and the last row may get a score later."""
        new = {name: value for name, value in figures.items() if (images_seen, name) not in self._logged}
        if new:
            self._spool.history.append(_record(images_seen, new))
            self._logged |= {(images_seen, name) for name in new}

    def log_image(self, images_seen: int, name: str, image: NDArray[np.uint8]) -> None:
        """Records a picture, uint8 [H, W, C]."""
        self._spool.save_picture(images_seen, name, image)

    def log_sounds(self, images_seen: int, name: str, sounds: Sequence[bytes]) -> None:
        """Records sounds, each the content of a WAV file."""
        for number, sound in enumerate(sounds, start=1):
            self._spool.save_sound(images_seen, f"{name}-{number}", sound)

    def rows(self) -> list[dict[str, float]]:
        """Returns all rows, including those from before a kill: `images_seen` and the metrics of each row."""
        return [{"images_seen": row["step"], **row["figures"]} for row in self._spool.history.records]

    def _work(self) -> None:
        """The background thread. It catches every exception, because no failure here may end the training."""
        sender = machine = None
        stopping = False
        while not stopping:
            stopping = self._stop.wait(SEND_EVERY_SECONDS if self._contacted.is_set() else 0)
            try:
                sender = sender or Sender(self._spool)
                machine = machine or Machine()
                self._spool.machine.append(_record(self._spool.next_reading(), machine.read()))
                sender.send()
                self._problem = ""
            except Exception as error:
                if not self._problem:
                    _say(f"MLflow does not answer: {explain(error)} The training continues; the records stay on disk.")
                self._problem = explain(error)
            self._contacted.set()


def _record(step: int, figures: Mapping[str, float]) -> dict[str, object]:
    return {"step": step, "timestamp": now_milliseconds(), "figures": {k: float(v) for k, v in figures.items()}}


def _say(message: str) -> None:
    print(message, file=sys.stderr)

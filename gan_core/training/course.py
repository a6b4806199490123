"""The course of a training: samples of the same latents over time, the time spent, when it ended, and the machine."""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.output_files import COURSE_FILE

SHOWN_AT_ONCE = 8
"""Images at each moment; for a conditional generator, one of each of the first classes."""
MOST_MOMENTS = 8
_LARGEST_FILE_BYTES = 2**26


class Course:
    """Collects samples and time; part of a training's checkpoint.

    Attributes:
        seconds: time spent until the last step, summed over all processes that continued the training. Two checkpoints
            after the same step hold the same value.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._samples: dict[int, NDArray[np.uint8]] = {}
        self._since = 0.0

    def start(self) -> None:
        """Starts the clock of this process."""
        self._since = time.monotonic()

    def advance(self) -> None:
        """Adds the time since the last call of `advance` or `start`."""
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now

    def add(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Stores samples. If there are more than MOST_MOMENTS moments, drops every second one, but never the first."""
        self._samples[images_seen] = images[:SHOWN_AT_ONCE]
        if len(self._samples) > MOST_MOMENTS:
            self._samples = {seen: self._samples[seen] for seen in sorted(self._samples)[::2]}

    def moments(self, images_seen: int, last: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
        """The samples by images seen, with `last` as the samples of the generator that is kept."""
        found = self._samples | {images_seen: last[:SHOWN_AT_ONCE]}
        return {seen: found[seen] for seen in sorted(found)}

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the state for a checkpoint."""
        state: dict[str, NDArray[Any]] = {"course_seconds": np.array(self.seconds)}
        if self._samples:
            state["course_images_seen"] = np.array(list(self._samples))
            state["course_samples"] = np.stack(list(self._samples.values()))
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restores the state from a checkpoint; a checkpoint of an earlier version has none."""
        self.seconds = float(state.get("course_seconds", np.array(0.0)))
        moments = state.get("course_images_seen", np.empty(0, np.int64)).tolist()
        self._samples = dict(zip(moments, state.get("course_samples", ()), strict=True))


@dataclass(frozen=True)
class CourseRecord:
    """The content of COURSE_FILE in a generator's folder.

    Attributes:
        moments: samples uint8 [N, H, W, C] by images seen.
        seconds: time spent training.
        finished: time at which the training ended, as text.
        machine: the machine that trained, as text.
    """

    moments: dict[int, NDArray[np.uint8]]
    seconds: float
    finished: str
    machine: str

    def write(self, folder: Path) -> None:
        """Writes the file into the generator's folder."""
        with (folder / COURSE_FILE).open("wb") as stream:
            np.savez(
                stream,
                images_seen=np.array(list(self.moments)),
                samples=np.stack(list(self.moments.values())),
                seconds=np.array(self.seconds),
                finished=np.array(self.finished),
                machine=np.array(self.machine),
            )

    @classmethod
    def read(cls, folder: Path) -> CourseRecord | None:
        """Reads the file; None if it does not exist: in the registry, and in folders of earlier versions.

        Raises:
            InvalidInput: it is damaged.
        """
        path = folder / COURSE_FILE
        if not path.is_file():
            return None
        try:
            with zipfile.ZipFile(path) as archive:
                # Uncompressed members cannot be larger than the file, so the archive cannot be a zip bomb.
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError("its members are compressed")
            if path.stat().st_size > _LARGEST_FILE_BYTES:
                raise ValueError(f"it has more than {_LARGEST_FILE_BYTES} bytes")
            with np.load(path, allow_pickle=False) as file:
                samples, images_seen = np.asarray(file["samples"]), np.asarray(file["images_seen"], np.int64)
                if samples.dtype != np.uint8 or samples.ndim != 5 or 0 in samples.shape:
                    raise ValueError(f"its samples are not images but {samples.dtype} of shape {samples.shape}")
                if (
                    samples.shape[4] not in (1, 3)
                    or len(samples) > 2 * MOST_MOMENTS
                    or samples.shape[1] > SHOWN_AT_ONCE
                ):
                    raise ValueError(f"it has images of the shape {samples.shape}")
                moments, seconds = dict(zip(images_seen.tolist(), samples, strict=True)), float(file["seconds"])
                if min(moments) < 0 or not 0 <= seconds < math.inf:
                    raise ValueError(f"it records {min(moments)} images seen and {seconds} seconds")
                return cls(moments, seconds, str(file["finished"]), str(file["machine"]))
        # A hostile file can make the readers of zip archives and arrays raise nearly anything.
        except Exception as error:
            raise InvalidInput(f"A training's {COURSE_FILE} must be readable: {error}. Received: {path}") from None

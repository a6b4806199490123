"""Checkpoints on disk: written atomically, verified when read, without pickle; only the newest few are kept.

A checkpoint is one .npz file named `<images seen>-<start of its SHA-256>.npz`. It is written to a temporary file,
flushed to the disk and renamed, so a kill at any moment leaves the previous checkpoint as the newest.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import write_durably

_NAME = re.compile(r"(\d{15})-([0-9a-f]{16})\.npz")
_logger = logging.getLogger(__name__)

State = Mapping[str, NDArray[Any]]


class InUse(TryAgain):
    """Another process trains with the same checkpoints."""


class Checkpoints:
    """The checkpoints of one training; a context manager that only one process can enter at a time.

    Args:
        folder: the folder of the checkpoints.
        kept: number of checkpoints to keep, at least 1; the newest are kept.
        copy: called in the background with each file as soon as it is complete; `wait` raises its errors.

    Attributes:
        folder: the folder of the checkpoints.

    Raises:
        InvalidInput: the folder cannot be written, or is used before or after the `with` statement.
        InUse: another process trains with the same folder.

    >>> with Checkpoints(Path("other"), kept=3) as checkpoints:
    ...     checkpoints.write(64, {"images_seen": np.array(64)})
    ...     checkpoints.wait()
    ...     checkpoints.newest(at_most=100)
    {'images_seen': array(64)}
    """

    def __init__(self, folder: str | Path, kept: int, copy: Callable[[Path], None] | None = None) -> None:
        if kept < 1:
            raise InvalidInput(f"At least 1 checkpoint must be kept. Received: kept={kept}")
        self.folder = Path(folder)
        self._kept = kept
        self._copy = copy
        self._lock: TextIO | None = None
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise InvalidInput(
                f"The folder of the checkpoints must be writable: {error.strerror}. Received: {self.folder}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUse(f"Another process is training with these checkpoints. Received: {self.folder}") from None
        for unfinished in self.folder.glob("*.partial"):
            unfinished.unlink()
        self._lock, self._writer = lock, ThreadPoolExecutor(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.shutdown()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def require_entered(self) -> None:
        """Checks that the `with` statement has begun and not ended: only then is the folder locked.

        Raises:
            InvalidInput: it has not begun, or it has ended.
        """
        if self._lock is None:
            raise InvalidInput(
                "Checkpoints must be used inside their `with` statement: `with Checkpoints(…) as checkpoints:`. "
                f"Received: {self.folder}, outside of it"
            )

    def newest(self, at_most: int) -> State | None:
        """Returns the state with the most images seen, up to `at_most`; None if there is none. Skips damaged files."""
        self.require_entered()
        for images_seen, path in reversed(self._files()):
            if images_seen > at_most:
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] == path.stem.partition("-")[2]:
                with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                    return dict(arrays)
            _logger.warning("The checkpoint %s is damaged; the one before it is used.", path)
        return None

    def last_good(self) -> Path | None:
        """Waits until the last checkpoint is on the disk and returns the newest file; None if there is none."""
        self.wait()
        files = self._files()
        return files[-1][1] if files else None

    def write(self, images_seen: int, state: State) -> None:
        """Starts writing `state` in the background. The caller must not change the arrays afterwards."""
        self.require_entered()
        self.wait()
        self._writing = self._writer.submit(self._write, images_seen, state)

    def wait(self) -> None:
        """Waits until the last checkpoint is on the disk. Raises OSError if it could not be written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, images_seen: int, state: State) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **state)  # type: ignore[arg-type]
        content = buffer.getbuffer()
        target = self.folder / f"{images_seen:015d}-{hashlib.sha256(content).hexdigest()[:16]}.npz"
        write_durably(target, content)
        if self._copy is not None:
            self._copy(target)
        # Files with more images seen come from a run with more steps. They stay valid, because it has the same course.
        reached = [path for seen, path in self._files() if seen <= images_seen and path != target]
        for path in reached[: max(0, len(reached) + 1 - self._kept)]:
            path.unlink()

    def _files(self) -> list[tuple[int, Path]]:
        """Returns (images seen, path) of every checkpoint, sorted."""
        found = [(images_seen_in(path.name), path) for path in self.folder.iterdir()]
        return sorted((images_seen, path) for images_seen, path in found if images_seen is not None)


def images_seen_in(name: str) -> int | None:
    """Returns the images seen that a checkpoint's file name states; None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None

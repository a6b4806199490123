"""Mirrors checkpoints to a bucket while the training runs, and restores them at the next start.

The checkpoint files are stored below `<address>/<key>/`, with `newest.json`, which lists the complete ones.
`newest.json` is written after each checkpoint, on the condition that nobody else has changed it since this process read
or wrote it. If two processes use one key, the second to write finds it changed and stops.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.storage import objects, transfer
from components.storage.bucket import Address, opened
from components.storage.objects import Entry
from components.storage.paths import PREFIX
from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import workplace

POINTER = "newest.json"
_logger = logging.getLogger(__name__)


class _Checkpoint(Entry):
    """A complete checkpoint; its name begins with the images seen."""

    name: Annotated[str, Field(pattern=r"^[0-9]{15}-[0-9a-f]{16}\.npz$")]

    @property
    def images_seen(self) -> int:
        return int(self.name.partition("-")[0])


class Pointer(BaseModel):
    """The complete checkpoints, oldest first, and the process that wrote this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    writer: str
    checkpoints: tuple[_Checkpoint, ...]


@contextlib.contextmanager
def mirrored(place: Path | Address, key: str, kept: int) -> Iterator[LocalFolder | Mirror]:
    """Yields the folder for the checkpoints `key`: below `place`, or a temporary one that is mirrored to a bucket.

    Raises:
        TryAgain: at the end, if another process took over.
    """
    if isinstance(place, Path):
        yield LocalFolder(place / key)
        return
    with workplace(Path(tempfile.gettempdir()), PREFIX) as folder:
        mirror = Mirror(place / key, folder, kept)
        try:
            yield mirror
        finally:
            mirror.finish()
        mirror.raise_failure()


class LocalFolder:
    """The checkpoints of one training in a folder that outlives it: nothing is copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def restore(self, at_most: int, records: Path) -> None:
        """Does nothing: the folder holds the checkpoints and the records of the last start."""

    def keeping(self, records: Path) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        """Does nothing: the folder keeps the records."""
        return contextlib.nullcontext()

    def place_of(self, records: Path) -> Path:
        """The place where the records stay."""
        return records

    def send(self, path: Path) -> None:
        """Does nothing: the folder keeps the checkpoint."""


class Mirror:
    """The checkpoints of one training in a temporary folder, and their copies at `address`; the newest `kept` stay."""

    def __init__(self, address: Address, folder: Path, kept: int) -> None:
        self._address = address
        self.folder = folder
        self._kept = kept
        self._writer = uuid.uuid4().hex
        self._pointer = Pointer(format=1, writer=self._writer, checkpoints=())
        self._generation = 0
        self._failure: TryAgain | None = None
        self._sender = ThreadPoolExecutor(1, "mirror")
        self._sending: Future[None] | None = None
        self._waiting: BinaryIO | None = None

    def restore(self, at_most: int, records: Path) -> None:
        """Restores the newest complete checkpoint with at most `at_most` images seen, and the folder `records`.

        Raises:
            InvalidInput, TryAgain: the bucket cannot be read.
        """
        with opened(self._address) as bucket:
            if found := self._read(bucket):
                self._pointer, self._generation = found
            for checkpoint in reversed(self._pointer.checkpoints):
                if checkpoint.images_seen <= at_most and self._receive(bucket, checkpoint):
                    break
            kept = transfer.read_listing(bucket, self.place_of(records))
        if kept:
            transfer.download(self.place_of(records), records)

    @contextlib.contextmanager
    def keeping(self, records: Path) -> Iterator[None]:
        """Copies a folder of small files at the start and at the end, and replaces an earlier start's copy.

        Raises:
            InvalidInput, TryAgain: as `transfer.upload`.
        """
        transfer.upload(records, self.place_of(records))
        try:
            yield
        finally:
            transfer.upload(records, self.place_of(records))

    def place_of(self, records: Path) -> Address:
        """The address to which `keeping` copies a folder."""
        return self._address / records.relative_to(self.folder).as_posix()

    def send(self, path: Path) -> None:
        """Starts copying a checkpoint in the background; it replaces one that still waits to be copied.

        Raises:
            TryAgain: another process took over.
        """
        self.raise_failure()
        if self._sending is not None and self._sending.cancel() and self._waiting is not None:
            self._waiting.close()
        # Opened now, because the folder keeps a checkpoint only until there are newer ones.
        self._waiting = path.open("rb")
        self._sending = self._sender.submit(self._send, path.name, self._waiting)

    def finish(self) -> None:
        """Waits until pending copies have succeeded or failed."""
        self._sender.shutdown()

    def raise_failure(self) -> None:
        """Raises TryAgain if another process took over."""
        if self._failure is not None:
            raise self._failure

    def _send(self, name: str, content: BinaryIO) -> None:
        """Copies one checkpoint, in the background thread. If the bucket is away, the next checkpoint tries again."""
        try:
            with content, opened(self._address) as bucket:
                sent = objects.send(bucket, (self._address / name).name, content)
                self._point_to(bucket, _Checkpoint(**sent.model_dump() | {"name": name}))
        except (InvalidInput, TryAgain) as error:
            _logger.warning("The checkpoint %s is not in the bucket, the training goes on: %s", name, error)

    def _point_to(self, bucket: Any, new: _Checkpoint) -> None:
        known = [checkpoint for checkpoint in self._pointer.checkpoints if checkpoint.name != new.name]
        # Checkpoints beyond this one come from a training with more steps and stay, as on this machine.
        reached = [checkpoint for checkpoint in known if checkpoint.images_seen <= new.images_seen]
        dropped = reached[: max(0, len(reached) + 1 - self._kept)]
        listed = sorted([new, *(entry for entry in known if entry not in dropped)], key=lambda entry: entry.name)
        pointer = Pointer(format=1, writer=self._writer, checkpoints=tuple(listed))
        generation = objects.replace(
            bucket, (self._address / POINTER).name, pointer.model_dump_json().encode(), self._generation, self._is_ours
        )
        if generation is None:
            self._failure = self._conflict()
            return
        self._pointer, self._generation = pointer, generation
        for checkpoint in dropped:
            objects.delete(bucket, (self._address / checkpoint.name).name, checkpoint)

    def _receive(self, bucket: Any, checkpoint: _Checkpoint) -> bool:
        from google.api_core.exceptions import NotFound

        try:
            objects.receive(bucket, (self._address / checkpoint.name).name, checkpoint, self.folder / checkpoint.name)
        except NotFound:
            _logger.warning("The checkpoint %s was deleted; the one before it is used.", checkpoint.name)
            return False
        return True

    def _read(self, bucket: Any) -> tuple[Pointer, int] | None:
        found = objects.read_object(bucket, (self._address / POINTER).name)
        if found is None:
            return None
        try:
            return Pointer.model_validate_json(found[0]), found[1]
        except ValidationError:
            raise InvalidInput(
                f"The checkpoints' {POINTER} must be one that this project wrote. Received: {self._address}"
            ) from None

    def _is_ours(self, content: bytes) -> bool:
        try:
            return Pointer.model_validate_json(content).writer == self._writer
        except ValidationError:
            return False

    def _conflict(self) -> TryAgain:
        return TryAgain(
            f"Another process trains with these checkpoints; its newest one counts, and this process stops. "
            f"Received: {self._address}"
        )

"""Copies checkpoints to a bucket while the training runs, and restores them at the next start.

The objects below `<address>/<key>/` are the checkpoint files, each of which a bucket writes atomically, and `writer`,
which names the process that trains. A process replaces `writer` before each checkpoint, on the condition that no other
process has replaced it in the meantime. If two processes use one key, the second to write finds it changed and stops.
Earlier versions of this project wrote `newest.json` instead; it is not needed to restore their checkpoints.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from components.storage import bucket, objects, transfer
from components.storage.bucket import Address
from components.storage.paths import PREFIX
from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import workplace
from gan_core.training.checkpoints import images_seen_in

WRITER = "writer"
EARLIER_LISTING = "newest.json"
_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def mirrored(place: Path | Address, key: str, kept: int) -> Iterator[LocalFolder | Mirror]:
    """Yields the folder for the checkpoints `key`: a folder below `place`, or a temporary one with copies in a bucket.

    Raises:
        TryAgain: another process took over; raised at the end.
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
    """The checkpoints of one training in a permanent folder. Nothing is copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def restore(self, at_most: int, records: Path) -> None:
        """Does nothing, because the folder contains the checkpoints and records of earlier starts."""

    def keeping(self, records: Path) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        """Does nothing, because the folder keeps the records."""
        return contextlib.nullcontext()

    def place_of(self, records: Path) -> Path:
        """Returns the place where the records are kept."""
        return records

    def send(self, path: Path) -> None:
        """Does nothing, because the folder keeps the checkpoint."""


class Mirror:
    """The checkpoints of one training in a temporary folder, and copies of the newest `kept` at `address`."""

    def __init__(self, address: Address, folder: Path, kept: int) -> None:
        self.folder = folder
        self._address = address
        self._kept = kept
        self._writer = uuid.uuid4().hex.encode()
        self._generation = 0  # of the object `writer`
        self._failure: TryAgain | None = None
        self._sender = ThreadPoolExecutor(1, "mirror")
        self._sending: Future[None] | None = None
        self._waiting: BinaryIO | None = None

    def restore(self, at_most: int, records: Path) -> None:
        """Restores the newest checkpoint with at most `at_most` images seen, and the folder `records`.

        Raises:
            InvalidInput, TryAgain: the bucket cannot be read.
        """
        with bucket.opened(self._address) as opened:
            if writer := opened.get_blob((self._address / WRITER).name, retry=objects.retry()):
                self._generation = writer.generation
            for images_seen, name, blob in reversed(self._checkpoints(opened)):
                if images_seen <= at_most and _receive(blob, self.folder / name):
                    break
            has_records = transfer.whole_files(opened, self.place_of(records))
        if has_records:
            transfer.download_folder(self.place_of(records), records)

    @contextlib.contextmanager
    def keeping(self, records: Path) -> Iterator[None]:
        """Copies a folder of small files at the start and at the end. Its reader tolerates a mixture of both.

        Raises:
            InvalidInput, TryAgain: the bucket cannot be written.
        """
        self._send_records(records)
        try:
            yield
        finally:
            self._send_records(records)

    def place_of(self, records: Path) -> Address:
        """Returns the address to which `keeping` copies a folder."""
        return self._address / records.relative_to(self.folder).as_posix()

    def send(self, path: Path) -> None:
        """Starts copying a checkpoint in the background. It replaces a checkpoint that still waits to be copied.

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

    def _send_records(self, records: Path) -> None:
        with bucket.opened(self._address) as opened:
            transfer.send_files(opened, records, self.place_of(records))

    def _send(self, name: str, content: BinaryIO) -> None:
        """Copies one checkpoint, in the background thread. If the bucket is unavailable, only warns."""
        try:
            with content, bucket.opened(self._address) as opened:
                writer = (self._address / WRITER).name
                self._generation = objects.send(opened, writer, io.BytesIO(self._writer), self._generation).generation
                objects.send(opened, (self._address / name).name, content)
                self._delete_older(opened, name)
        except objects.Conflict:
            self._failure = TryAgain(
                "Another process trains with these checkpoints; its newest one counts, and this process stops. "
                f"Received: {self._address}"
            )
        except (InvalidInput, TryAgain) as error:
            _logger.warning("The checkpoint %s is not in the bucket; the training continues: %s", name, error)

    def _delete_older(self, opened: Any, newest: str) -> None:
        # Names begin with the images seen. Later checkpoints than this one come from a run with more steps, and stay.
        reached = [blob for _, name, blob in self._checkpoints(opened) if name < newest]
        for blob in reached[: max(0, len(reached) + 1 - self._kept)]:
            objects.delete(blob)

    def _checkpoints(self, opened: Any) -> list[tuple[int, str, Any]]:
        """Returns images seen, name and object of each checkpoint, oldest first. Ignores any other object."""
        files = transfer.files_at(opened, self._address)
        found = [(images_seen_in(name), name, blob) for name, blob in files.items()]
        return sorted((seen, name, blob) for seen, name, blob in found if seen is not None)


def _receive(blob: Any, target: Path) -> bool:
    from google.api_core.exceptions import NotFound

    try:
        objects.receive(blob, target)
    except NotFound:
        _logger.warning("The checkpoint %s was deleted; the one before it is used.", target.name)
        return False
    return True

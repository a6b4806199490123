"""Copies checkpoints to a bucket while the training runs, and restores them at the next start.

The objects below `<address>/<key>/` are the checkpoint files, each of which a bucket writes atomically, and `writer`,
the lease of the process that trains. Earlier versions of this project wrote `newest.json` too; it is not needed to
restore their checkpoints.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from components.storage import bucket, objects, transfer
from components.storage.bucket import Address
from components.storage.lease import Lease
from components.storage.paths import PREFIX
from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import workplace
from gan_core.training.checkpoints import Checkpoints, InUse, images_seen_in

POLL_SECONDS = 5.0  # how often a waiting process looks whether the other one has ended
EARLIER_LISTING = "newest.json"
_Claimed = TypeVar("_Claimed")
_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def mirrored(
    place: Path | Address, key: str, kept: int, pause: Callable[[float], None] = time.sleep
) -> Iterator[tuple[LocalFolder | Mirror, Checkpoints]]:
    """Yields the checkpoints `key` below `place`: in that folder, or in a temporary one with copies in a bucket.

    While another process trains with them, waits and says so; `pause` is called with the seconds between two looks.

    Raises:
        InvalidInput: the folder cannot be written; also as `bucket.opened`.
        TryAgain: another process took over, raised at the end; also as `bucket.opened`.
    """
    if isinstance(place, Path):
        local = LocalFolder(place / key)
        with contextlib.ExitStack() as stack:
            checkpoints = Checkpoints(local.folder, kept, local.send)
            yield local, _wait(lambda: stack.enter_context(checkpoints), local.folder, pause)
        return
    with workplace(Path(tempfile.gettempdir()), PREFIX) as folder:
        mirror = Mirror(place / key, folder, kept)
        try:
            _wait(mirror.lease.claim, place / key, pause)
            with Checkpoints(folder, kept, mirror.send) as checkpoints:
                yield mirror, checkpoints
        finally:
            mirror.finish()
        mirror.raise_failure()


def _wait(claim: Callable[[], _Claimed], place: Path | Address, pause: Callable[[float], None]) -> _Claimed:
    """Returns what `claim` returns when no other process has the checkpoints."""
    waits = False
    while True:
        try:
            return claim()
        except InUse:
            if not waits:
                _logger.warning(
                    "Another process trains with these checkpoints; this one waits until it ends. Received: %s", place
                )
            waits = True
        pause(POLL_SECONDS)


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
    """The checkpoints of one training in a temporary folder, and copies of the newest `kept` at `address`.

    Claim `lease` before any other use; `finish` releases it.
    """

    def __init__(self, address: Address, folder: Path, kept: int) -> None:
        self.folder = folder
        self._address = address
        self._kept = kept
        self.lease = Lease(address)
        self._sender = ThreadPoolExecutor(1, "mirror")
        self._sending: Future[None] | None = None
        self._waiting: BinaryIO | None = None

    def restore(self, at_most: int, records: Path) -> None:
        """Restores the newest checkpoint with at most `at_most` images seen, and the folder `records`.

        Raises:
            InvalidInput, TryAgain: the bucket cannot be read.
        """
        with bucket.opened(self._address) as opened:
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
            if self.lease.lost is None:  # else the other process sends newer ones
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
        """Waits until pending copies have succeeded or failed, and lets the next process start."""
        self._sender.shutdown()
        self.lease.release()

    def raise_failure(self) -> None:
        """Raises TryAgain if another process took over."""
        if self.lease.lost is not None:
            raise self.lease.lost

    def _send_records(self, records: Path) -> None:
        with bucket.opened(self._address) as opened:
            transfer.send_files(opened, records, self.place_of(records))

    def _send(self, name: str, content: BinaryIO) -> None:
        """Copies one checkpoint, in the background thread. If the bucket is unavailable, only warns."""
        try:
            with content, bucket.opened(self._address) as opened:
                self.lease.renew(opened)
                objects.send(opened, (self._address / name).name, content)
                self._delete_older(opened, name)
        except objects.Conflict:
            pass  # `raise_failure` reports it
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

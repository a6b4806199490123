"""A lease on an address in a bucket, so that only one process at a time writes there.

The object `writer` names the process that has the lease. This process writes the object again every RENEW_SECONDS, and
deletes it at its end. A process that finds the object watches it, and takes over if nothing writes it for LOST_SECONDS,
because the other process was then killed or cut off. Only changes are observed, so clocks need not agree. Each write
requires the generation that this process last read or wrote: a process that stalled and lost the lease notices it when
it renews.
"""

from __future__ import annotations

import io
import logging
import threading
import time
import uuid
from typing import Any

from components.storage import bucket, objects
from components.storage.bucket import Address
from gan_core.errors import InvalidInput, TryAgain
from gan_core.training.checkpoints import InUse

WRITER = "writer"
RENEW_SECONDS = 20.0
LOST_SECONDS = 60.0
_logger = logging.getLogger(__name__)


class Lease:
    """The right of one process to write below `address`.

    Attributes:
        lost: the failure to report once another process has taken over; None before.
    """

    def __init__(self, address: Address) -> None:
        self.lost: TryAgain | None = None
        self._address = address
        self._content = uuid.uuid4().hex.encode()
        self._generation = 0  # of the object, as this process last wrote it
        self._watched, self._since = 0, 0.0  # another process's generation, and when it was first seen
        self._writing = threading.Lock()
        self._released = threading.Event()
        self._renewal = threading.Thread(target=self._keep, name="lease", daemon=True)

    def claim(self) -> None:
        """Takes the lease, and keeps it until `release`. Call it again if another process has it.

        Raises:
            InUse: another process has the lease.
            InvalidInput, TryAgain: as `bucket.opened`.
        """
        with bucket.opened(self._address) as opened:
            asked = time.monotonic()
            found = opened.get_blob((self._address / WRITER).name, retry=objects.retry())
            generation = found.generation if found else 0
            if generation:
                if generation != self._watched:
                    self._watched, self._since = generation, time.monotonic()
                if asked - self._since < LOST_SECONDS:
                    raise InUse(f"Another process trains with these checkpoints. Received: {self._address}")
                _logger.warning("The other process gave no sign of life for %.0f s; this one takes over.", LOST_SECONDS)
            try:
                self._write(opened, generation)
            except objects.Conflict:
                raise InUse(f"Another process took the checkpoints first. Received: {self._address}") from None
        self._renewal.start()

    def renew(self, opened: Any) -> None:
        """Renews the lease.

        Raises:
            Conflict: another process took over.
        """
        with self._writing:
            try:
                self._write(opened, self._generation)
            except objects.Conflict:
                self.lost = TryAgain(
                    "Another process trains with these checkpoints; its newest one counts, and this process stops. "
                    f"Received: {self._address}"
                )
                raise

    def release(self) -> None:
        """Lets the next process start at once. If the bucket is unavailable, only warns."""
        self._released.set()
        if self._renewal.ident is None:  # never claimed
            return
        self._renewal.join()
        try:
            with bucket.opened(self._address) as opened:
                objects.delete(opened.blob((self._address / WRITER).name, generation=self._generation))
        except (InvalidInput, TryAgain) as error:
            _logger.warning("The next start waits for %.0f s: %s", LOST_SECONDS, error)

    def _write(self, opened: Any, generation: int) -> None:
        name = (self._address / WRITER).name
        self._generation = objects.send(opened, name, io.BytesIO(self._content), generation).generation

    def _keep(self) -> None:
        """Renews the lease in the background until it is released or lost."""
        while not self._released.wait(RENEW_SECONDS):
            try:
                with bucket.opened(self._address) as opened:
                    self.renew(opened)
            except objects.Conflict:
                return
            except (InvalidInput, TryAgain) as error:
                _logger.warning("The bucket does not know that this training runs; it continues: %s", error)

"""Measures the speed of a training."""

from __future__ import annotations

import time


class Throughput:
    """Measures images per second from the first step's end in this process, so that compilation does not count."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def start(self, images_seen: int) -> None:
        """Starts the clock if it is not running."""
        self._since = self._since or (time.monotonic(), images_seen)

    def exclude_pause(self) -> None:
        """Excludes the time since the last call of `images_per_second`."""
        if self._since:
            self._since = (time.monotonic(), self._since[1])

    def images_per_second(self, images_seen: int) -> float:
        """The rate since the last call; 0 if there was no step to measure."""
        now = time.monotonic()
        since, before = self._since or (now, images_seen)
        self._since = (now, images_seen)
        return (images_seen - before) / (now - since) if images_seen > before else 0.0

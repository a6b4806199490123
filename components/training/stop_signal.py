"""Lets a training finish its step and write a checkpoint when a signal tells it to stop."""

from __future__ import annotations

import signal
import time
from types import FrameType

from gan_core.errors import TryAgain

_LOOK_SECONDS = 0.1  # how often a waiting process looks for a signal


class StopSignal:
    """Remembers the first SIGTERM or SIGINT, from its creation on. A second one ends the process."""

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def pause(self, seconds: float) -> None:
        """Waits before the training, until a signal arrives.

        Raises:
            TryAgain: SIGTERM arrived.
            KeyboardInterrupt: SIGINT arrived.
        """
        end = time.monotonic() + seconds
        while self.received is None and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)  # Python continues a sleep after a signal
        if self.received == signal.SIGTERM:
            raise TryAgain("The training was told to stop (SIGTERM) while it waited for another process.")
        if self.received == signal.SIGINT:
            signal.raise_signal(signal.SIGINT)  # Python's own handler has it now

    @property
    def name(self) -> str:
        """Name of the signal for messages."""
        return "SIGTERM" if self.received == signal.SIGTERM else "Ctrl-C"

    @property
    def exit_code(self) -> int:
        """75 after SIGTERM, because the same command may continue later; 130 after Ctrl-C."""
        return 75 if self.received == signal.SIGTERM else 130

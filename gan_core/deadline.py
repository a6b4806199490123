"""Limits the total time of a call that waits for another system."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

_Result = TypeVar("_Result")


def within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """Returns the call's result, or raises its exception, within a time limit.

    The call runs in a thread, which is abandoned after the time limit. A socket's own time limit does not suffice,
    because it restarts with each byte that arrives.

    Raises:
        TimeoutError: the call took longer.
    """
    outcome: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no complete answer within {seconds:g} seconds") from None
    if error is not None:
        try:
            raise error
        finally:
            del error  # breaks the reference cycle of the exception, this frame and the call's sockets
    return cast(_Result, result)

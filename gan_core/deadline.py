"""A limit on the whole time of a call that waits for somebody else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

_Result = TypeVar("_Result")


def within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """The call's result, or its exception. The call runs in a thread, which is left to itself when the time is over.

    A socket's own time limit begins anew with each byte that arrives.

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
        raise TimeoutError(f"no whole answer within {seconds:g} seconds") from None
    if error is not None:
        try:
            raise error
        finally:
            del error  # or the exception, this frame and the call's sockets would hold each other
    return cast(_Result, result)

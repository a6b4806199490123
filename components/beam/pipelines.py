"""Runs a Beam pipeline, and explains why it failed."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam
import psutil
from apache_beam.options.pipeline_options import PipelineOptions

from gan_core.errors import TryAgain


@contextmanager
def pipeline_with(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """Yields a pipeline, and runs it after the body.

    Raises:
        TryAgain: it failed, or a worker ended.
    """
    pipeline = beam.Pipeline(options=options)
    yield pipeline
    if reason := _failure(pipeline):
        raise TryAgain(
            f"The Beam pipeline failed: {reason}. The same command begins anew. "
            f"Received: runner={type(pipeline.runner).__name__}"
        )


def _failure(pipeline: beam.Pipeline) -> str | None:
    """Runs the pipeline and returns the reason if it failed.

    If a worker process is killed, FnApiRunner waits for it for ever, and only the thread that started it raises an
    exception. So the pipeline runs in a thread too, and the first that ends decides.
    """
    endings: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def run() -> None:
        state = pipeline.run().wait_until_finish()
        endings.put(None if state == "DONE" else f"it ended as {state}")

    previous = threading.excepthook
    threading.excepthook = lambda arguments: endings.put(_last_line(arguments.exc_value))
    threading.Thread(target=run, daemon=True).start()
    try:
        reason = endings.get()
    except KeyboardInterrupt:
        _end_workers()
        raise
    if reason:
        _end_workers()
    else:
        threading.excepthook = previous
    return reason


def _end_workers() -> None:
    """Ends the worker processes, which would keep this process alive. Their threads then raise exceptions too."""
    for worker in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _last_line(error: BaseException | None) -> str:
    """Returns the last line of an exception's text, which may contain a worker's traceback, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")

"""Follows a TrainJob to its end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from components.trainer.jobs import Host, TrainJob, condition
from gan_core.errors import InvalidInput, TryAgain

_LOOK_SECONDS = 5.0
_MISTAKE = 2  # the exit code of components.train after a user's mistake
_logger = logging.getLogger(__name__)


class HostsFailed(Exception):
    """The training failed, and a new try cannot help."""


def follow(job: TrainJob, pause: Callable[[float], None]) -> None:
    """Prints the first host's log and what the hosts wait for, until the TrainJob is complete.

    Args:
        job: the TrainJob, which exists.
        pause: called with the seconds to wait before the next look; may raise TryAgain.

    Raises:
        InvalidInput: a host ended because of a user's mistake.
        HostsFailed: a host failed otherwise, as often as JobSet starts all of them again.
        TryAgain: the TrainJob was deleted.
    """
    log, said = _Log(job), [""]
    while True:
        try:
            found, hosts = job.read(), job.hosts()
        except TryAgain as error:
            _logger.warning("%s The TrainJob goes on; the next look is in %g s.", error, _LOOK_SECONDS)
            pause(_LOOK_SECONDS)
            continue
        if found is None or "deletionTimestamp" in found["metadata"]:
            raise TryAgain(f"The TrainJob {job.name} was deleted. A new try continues from its checkpoints.")
        if hosts:
            log.print_new(hosts[0])
        waiting = [f"Host {host.index} waits. {host.waits}" for host in hosts if host.waits]
        if (reason := condition(found, "Suspended")) is not None:
            waiting = [f"The TrainJob is suspended, as a queue does until it admits it. {reason}"]
        if waiting and waiting != said:
            _logger.info("%s", " ".join(waiting))
            said = waiting
        if condition(found, "Complete") is not None:
            return
        if (reason := condition(found, "Failed")) is not None:
            _fail(job, hosts, reason)
        pause(_LOOK_SECONDS)


def _fail(job: TrainJob, hosts: list[Host], reason: str) -> None:
    failed = next((host for host in hosts if host.exit_code), None)
    if failed is None:
        raise HostsFailed(f"The TrainJob {job.name} failed. {reason}")
    lines = job.log(failed.pod).splitlines()
    last = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
    text = f"Host {failed.index} ended with exit code {failed.exit_code}: {last.removeprefix('error: ')}"
    raise (InvalidInput if failed.exit_code == _MISTAKE else HostsFailed)(text)


class _Log:
    """The log of the first host, whose pod changes when all hosts are started again."""

    def __init__(self, job: TrainJob) -> None:
        self._job, self._pod, self._printed = job, "", 0

    def print_new(self, host: Host) -> None:
        """Prints what the host has written since the last call."""
        if host.pod != self._pod:
            self._pod, self._printed = host.pod, 0
        text = self._job.log(host.pod)
        if len(text) < self._printed:  # Kubernetes has begun a new file
            self._printed = 0
        sys.stderr.write(text[self._printed :])
        sys.stderr.flush()
        self._printed = len(text)

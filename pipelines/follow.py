"""Follows a run to its end: shows its stages, why a stage waits, and why a run failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gan_core.errors import InvalidInput, TryAgain
from gan_core.printing import printable
from pipelines.display import Row, display
from pipelines.pods import Pods, why_failed
from pipelines.tasks import ACTIVE, Stage, stages

POLL_SECONDS = 5.0
LOST_CALLS = 60  # failed calls in a row after which following the run ends; the run itself continues
PATIENCE_SECONDS = 60.0  # time after which a line says that a stage still waits or runs
MOST_LOOKS_AFTER_END = 3
NO_POD = "Argo's controller has not made its pod yet."
FINAL_STATES = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass
class Following:
    """Follows a run and prints what happens.

    Attributes:
        trials: the special parameters of each trial of a sweep, as text.
        timeout: seconds after which following the run ends; None for no limit.
    """

    client: Any
    run_id: str
    pods: Pods
    trials: Sequence[str] = ()
    timeout: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    since: dict[tuple[str, str], float] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def to_the_end(self) -> bool:
        """Shows the stages as they change until the run ends, and then how the run ended.

        Returns:
            Whether it succeeded.

        Raises:
            TryAgain: the time is over, or the server stopped answering; the run is not affected.
            InvalidInput: someone deleted the run.
        """
        started, looks_after_end = time.monotonic(), 0
        with display() as shown:
            while True:
                run = self._poll(started)
                found = stages((run.run_details.task_details if run.run_details else None) or [])
                # The final state of a cancelled run is FAILED.
                was_cancelled = run.state == "CANCELED" or "CANCELING" in {e.state for e in run.state_history or []}
                has_ended = run.state in FINAL_STATES
                self._remember(found)
                shown.show(
                    [self._row(stage, was_cancelled) for stage in found if has_ended or stage.state != "not run"]
                )
                # The state of the run may change a moment before those of its tasks.
                looks_after_end += has_ended
                if looks_after_end > MOST_LOOKS_AFTER_END or (
                    has_ended and not any(stage.state in ACTIVE for stage in found)
                ):
                    break
                for sentence in self._waits(found):
                    shown.say(sentence)
                self._pause(started)
        reason = f": {printable(run.error.message)}" if run.error and run.error.message else ""
        print(f"{self.run_id} {'CANCELED' if was_cancelled else run.state}{reason}")
        if run.state == "FAILED" and not was_cancelled:
            for line in self._failure(found):
                print(line)
        return bool(run.state == "SUCCEEDED")

    def _pause(self, started: float) -> None:
        if self.timeout is not None and time.monotonic() - started > self.timeout:
            raise TryAgain(f"The run continues, but did not end in time. Received: --timeout {self.timeout:g}")
        time.sleep(POLL_SECONDS)

    def _poll(self, started: float) -> Any:
        import kfp_server_api
        import urllib3

        lost = 0
        while True:
            try:
                return self.client.get_run(self.run_id)
            except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError) as error:
                lost += 1
                status = getattr(error, "status", None)
                if status == 404:
                    raise InvalidInput(f"A run that is followed must not be deleted. Received: {self.run_id}") from None
                if lost > LOST_CALLS or status in (401, 403):
                    raise
            self._pause(started)

    def _name(self, stage: Stage) -> str:
        if stage.trial is None:
            return stage.name
        special = self.trials[stage.trial] if stage.trial < len(self.trials) else ""
        return f"{stage.name}, trial {stage.trial + 1}" + (f" ({special})" if special else "")

    def _row(self, stage: Stage, was_cancelled: bool) -> Row:
        state: str = "cancelled" if was_cancelled and stage.state == "failed" else stage.state
        number = len(stage.tries)
        if number > 1:
            state += f", {number}{ {2: 'nd', 3: 'rd'}.get(number, 'th') } try"
            reason = self._reason(stage.tries[-2])
            state += f" after: {reason}" if reason and stage.state in ACTIVE else ""
        seconds = ((stage.ended or datetime.now(UTC)) - stage.started).total_seconds() if stage.started else 0
        runs_on = stage.state == "running" and (number > 1 or self._lasts(stage.node, "running"))
        is_timed = stage.started is not None and stage.state != "cached"
        return Row(
            self._name(stage), state, duration(seconds) if is_timed else "", stage.state not in ACTIVE or runs_on
        )

    def _reason(self, node: str) -> str:
        if node not in self.reasons:
            pods = self.pods.of(node)
            self.reasons[node] = why_failed(pods[-1]) if pods else self.pods.message(node)
        return self.reasons[node]

    def _remember(self, found: Sequence[Stage]) -> None:
        """Stores since when each stage has been in its state; the stage "" waits while no stage is active."""
        states: set[tuple[str, str]] = {(stage.node, stage.state) for stage in found}
        if not any(stage.state in ACTIVE for stage in found):
            states.add(("", "waiting"))
        self.since = {state: self.since.get(state, time.monotonic()) for state in states}

    def _lasts(self, node: str, state: str) -> bool:
        since = self.since.get((node, state))
        return since is not None and time.monotonic() - since >= PATIENCE_SECONDS

    def _waits(self, found: Sequence[Stage]) -> Iterator[str]:
        """Yields why stages wait for a long time, or that no stage begins; each sentence once."""
        names = {stage.node: self._name(stage) for stage in found} | {"": "The next step"}
        for node, name in names.items():
            if not self._lasts(node, "waiting"):
                continue
            why = self._why(node)
            sentence = f"{name} waits. {why}" if why else f"{name} waits for a node or an image."
            if sentence not in self.said:
                self.said.add(sentence)
                yield sentence if why else f"{sentence} This line tells why: {self.pods.describe_command()}"

    def _why(self, node: str) -> str:
        """Returns why a stage waits; empty if Kubernetes does not say it. The node "" is that of the next stage."""
        pods = self.pods.of(node)
        if whys := [why for pod in pods if (why := self.pods.why_waiting(pod))]:
            return whys[-1]
        if pods and node:
            return ""
        message = "" if pods else self.pods.message(node)
        return message or (NO_POD if pods or self.pods.of("") else "")

    def _failure(self, found: Sequence[Stage]) -> Iterator[str]:
        """Yields which steps failed and why, the last lines of their logs, and the command to type next."""
        failed = [stage for stage in found if stage.state == "failed"]
        if not failed:
            yield f"No step failed. What Kubernetes says: {self.pods.describe_command()}"
        for stage in failed:
            pods = self.pods.of(stage.node)
            why = why_failed(pods[-1]) if pods else self.pods.message(stage.node)
            last = self.pods.last_sentence(pods[-1]) if pods else ""
            yield f"{self._name(stage)} failed" + (f": {why}" if why else "")
            if last and last.removeprefix("error: ") not in why:
                yield f"  its last line: {last}"
            command = self.pods.log_command(pods[-1]) if pods else self.pods.describe_command()
            yield f"  {'to read its whole log' if pods else 'this line tells why'}: {command}"


def duration(seconds: float) -> str:
    """Returns a duration as text, in its two largest units."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"

"""The votes of this machine: kept in a file of the project, counted, and written to MLflow's versions and reports."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.exploring.choices import Choice
from components.exploring.report_votes import with_votes
from components.tracking.description import REPORT
from gan_core.errors import InvalidInput
from gan_core.record import Record

FILE = "votes.jsonl"
TAG = "blind_votes"
_MOST_RIVALS = 20  # of one version in its tag, because MLflow limits the length of tags


class Vote(Record):
    """One vote: the digest of the generator that a person preferred, that of the other one, and what was shown."""

    when: str
    preferred: str
    other: str
    seed: int
    label: str
    truncation: float


class Tally(Record):
    """The votes of a machine in which a version met another one.

    Attributes:
        against: the other version.
        preferred: number of votes for this version.
        votes: number of votes for either.
        low, high: 95 % interval of the share of votes for this version.
        machine: the machine's name.
    """

    against: str
    preferred: int
    votes: int
    low: float
    high: float
    machine: str

    def sentence(self) -> str:
        """Returns the result in a sentence."""
        return (
            f"preferred to {self.against} in {self.preferred} of {self.votes} votes "
            f"({self.preferred / self.votes:.0%}, 95 % interval {self.low:.0%} to {self.high:.0%})"
        )


class VoteFile:
    """The votes in `votes.jsonl`, a line for each. A vote is on disk before `add` returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def add(self, vote: Vote) -> None:
        """Adds a vote."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(vote.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def tally(self, digest: str, other: str, against: str) -> Tally:
        """Counts the votes between two generators, at least one, for the first; `against` names the second.

        Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
        """
        from scipy.stats import binomtest

        votes = [vote.preferred for vote in self._votes() if {vote.preferred, vote.other} == {digest, other}]
        won = votes.count(digest)
        interval = binomtest(won, len(votes)).proportion_ci(method="wilson")
        return Tally(
            against=against,
            preferred=won,
            votes=len(votes),
            low=round(float(interval.low), 4),
            high=round(float(interval.high), 4),
            machine=platform.node(),
        )

    def _votes(self) -> list[Vote]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        votes = []
        for number, line in enumerate(lines, 1):
            try:
                votes.append(Vote.model_validate_json(line))
            except ValidationError:
                raise InvalidInput(
                    f"Each line of {self._path} must be a vote that the page wrote: remove or repair the line. "
                    f"Received: line {number}, {line[:60]!r}"
                ) from None
        return votes


def publish(client: Any, choice: Choice, tally: Tally) -> None:
    """Writes a result to the tag of a registered version, beside those of other rivals and machines, and to its report.

    The report is that of the version's run in MLflow. A version without a report gets only the tag.
    """
    version = client.get_model_version(choice.model, choice.version)
    others = [one for one in _recorded(version.tags) if (one.against, one.machine) != (tally.against, tally.machine)]
    tallies = [*others, tally][-_MOST_RIVALS:]
    client.set_model_version_tag(
        choice.model, choice.version, TAG, json.dumps([one.model_dump() for one in tallies], ensure_ascii=False)
    )
    if any(file.path == REPORT for file in client.list_artifacts(version.run_id)):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(client.download_artifacts(version.run_id, REPORT, folder)).read_text(encoding="utf-8")
        sentences = [f"{choice.name} was {one.sentence()} on {one.machine}." for one in tallies]
        client.log_text(version.run_id, with_votes(page, sentences), REPORT)


def _recorded(tags: Mapping[str, str]) -> Sequence[Tally]:
    try:
        return [Tally.model_validate(one) for one in json.loads(tags.get(TAG, "[]"))]
    except (ValueError, TypeError):  # somebody edited the tag
        return []

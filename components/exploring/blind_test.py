"""Blind pairs: which of two versions is on which side is random, and known to the server alone until the vote."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.exploring import drawing, votes
from components.exploring.cards import Card
from components.exploring.choices import Choice, Choices, require_comparable
from components.exploring.drawing import Wish
from components.exploring.votes import Vote, VoteFile
from components.tracking.failures import explain
from gan_core.errors import InvalidInput
from gan_core.generator import Generator


@dataclass(frozen=True)
class Side:
    """One side of a pair: the version, its generator's digest, and what it drew."""

    choice: Choice
    digest: str
    cards: list[Card]


@dataclass(frozen=True)
class Pair:
    """A pair that waits for a vote: the left side and the right one, from the same seed and class."""

    sides: tuple[Side, Side]
    seed: int
    wish: Wish


class BlindTest:
    """Draws pairs and takes votes.

    Args:
        client: MLflow's client.
        choices: loads the versions.
        folder: the project, in which the votes are kept.
    """

    def __init__(self, client: Any, choices: Choices, folder: Path) -> None:
        self._client = client
        self._choices = choices
        self._file = VoteFile(folder)

    def pair(self, choices: tuple[Choice, Choice], wish: Wish) -> Pair:
        """Draws a pair. Without a class in `wish`, it is of a random class.

        Raises:
            InvalidInput: the versions are the same generator, or draw items of different kinds.
            TryAgain: the registry does not answer.
        """
        generators = [self._choices.load(choice) for choice in choices]
        require_comparable(*generators)
        if generators[0].digest == generators[1].digest:
            raise InvalidInput(f"The two versions must be different generators. Received: {choices[0].title} twice")
        seed = secrets.randbelow(drawing.MOST_SEED)
        wish = Wish(wish.label or drawing.any_class(generators[0], seed), wish.truncation)
        sides = [_side(choice, one, wish, seed) for choice, one in zip(choices, generators, strict=True)]
        first = secrets.randbelow(2)
        return Pair((sides[first], sides[1 - first]), seed, wish)

    def vote(self, pair: Pair, preferred: int) -> list[str]:
        """Counts a vote for the side 0, the left one, or 1, and writes the results to both versions.

        Returns:
            Sentences about the result, and about what MLflow did not take.
        """
        won, lost = pair.sides[preferred], pair.sides[1 - preferred]
        vote = Vote(
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            preferred=won.digest,
            other=lost.digest,
            seed=pair.seed,
            label=pair.wish.label,
            truncation=pair.wish.truncation,
        )
        self._file.add(vote)
        sentences = []
        for side, rival in ((won, lost), (lost, won)):
            tally = self._file.tally(side.digest, rival.digest, rival.choice.name)
            sentences.append(f"{side.choice.name}: {tally.sentence()}.")
            if side.choice.model:
                try:
                    votes.publish(self._client, side.choice, tally)
                except Exception as error:  # whatever MLflow or its database raises, the vote is already kept
                    sentences.append(f"MLflow will get this result with the next vote: {explain(error)}")
        return sentences


def _side(choice: Choice, generator: Generator, wish: Wish, seed: int) -> Side:
    return Side(choice, str(generator.digest), drawing.side(generator, wish, seed))

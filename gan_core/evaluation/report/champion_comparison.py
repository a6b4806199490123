"""Compares the generator with the champion, for the report."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.pictures import Picture, Pictures, strip
from gan_core.evaluation.score_meanings import MEANINGS, Meaning, decimals, score_name, shown

SAMPLES = 20
COLUMNS = 5
SIGNIFICANT_UNCERTAINTIES = 2.0
"""Two scores differ clearly if their difference exceeds this multiple of their joint uncertainty."""


@dataclass(frozen=True)
class ScoreRow:
    """A score of the generator and of the champion. The verdict says whether the generator is better."""

    title: str
    name: str
    ours: str
    theirs: str
    verdict: str


@dataclass(frozen=True)
class ChampionSection:
    """The comparison with the champion as the page shows it.

    Attributes:
        name: name of the champion; empty if there is none.
        samples: images of this generator and of the champion for the same seed; None if there are none.
        rows: the scores; empty if the champion has none under this protocol.
        remarks: sentences that a reader of the comparison must know about.
    """

    name: str
    samples: tuple[Picture, Picture] | None
    rows: list[ScoreRow]
    remarks: tuple[str, ...]


def champion_section(evaluation: Evaluation, generated: Pictures, comparison: Comparison) -> ChampionSection:
    """Draws samples of both generators and compares their scores."""
    samples = None
    if comparison.images:
        indices = np.arange(min(SAMPLES, generated.count, comparison.images.count))
        samples = (
            strip(generated.at(indices), COLUMNS, f"{len(indices)} {generated.item}s of this generator"),
            strip(
                generated.of(comparison.images.images(indices)),
                COLUMNS,
                f"{len(indices)} {generated.item}s of the champion",
            ),
        )
    rows = _rows(evaluation, comparison.evaluation) if comparison.evaluation else []
    return ChampionSection(comparison.name, samples, rows, comparison.remarks)


def _rows(ours: Evaluation, theirs: Evaluation) -> list[ScoreRow]:
    rows = []
    for metric, meaning in MEANINGS.items():
        name = score_name(metric, ours.protocol.extractor)
        if name in ours.scores and name in theirs.scores:
            joint = math.hypot(_uncertainty(ours, name), _uncertainty(theirs, name))
            our_score, their_score = ours.scores[name], theirs.scores[name]
            digits = decimals(our_score, joint)
            verdict = _verdict(meaning, our_score, their_score, joint)
            rows.append(ScoreRow(meaning.title, name, shown(our_score, digits), shown(their_score, digits), verdict))
    return rows


def _verdict(meaning: Meaning, ours: float, theirs: float, joint: float) -> str:
    if abs(ours - theirs) <= SIGNIFICANT_UNCERTAINTIES * joint or ours == theirs:
        return "no clear difference"
    if meaning.better.startswith("near "):
        target = float(meaning.better.removeprefix("near "))
        better = abs(ours - target) < abs(theirs - target)
    else:
        better = (ours < theirs) == (meaning.better == "lower")
    return "better" if better else "worse"


def _uncertainty(evaluation: Evaluation, name: str) -> float:
    """Returns √(spread² + standard error²), the uncertainty due to the sampling seeds and the images."""
    return math.hypot(evaluation.spread[name], evaluation.standard_errors.get(name, 0.0))

"""The generator and the champion side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.images import Images
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.pictures import Picture, strip
from gan_core.evaluation.scores import MEANINGS, Meaning, decimals, score_name, shown

SAMPLES = 20
COLUMNS = 5
JOINT_UNCERTAINTIES = 2.0
"""By how many of them two scores must differ to be told apart."""


@dataclass(frozen=True)
class Row:
    """A score of both. The verdict is on this generator."""

    title: str
    name: str
    ours: str
    theirs: str
    verdict: str


@dataclass(frozen=True)
class Versus:
    """The comparison as the page shows it.

    Attributes:
        name: of the champion; empty if there is none.
        samples: this generator's images and the champion's, of the same seed; None if there are none.
        rows: the scores; empty if the champion has none under this protocol.
        remarks: sentences.
    """

    name: str
    samples: tuple[Picture, Picture] | None
    rows: list[Row]
    remarks: tuple[str, ...]


def versus(evaluation: Evaluation, generated: Images, comparison: Comparison) -> Versus:
    """Draws the samples of both and compares the scores."""
    samples = None
    if comparison.images:
        positions = np.arange(min(SAMPLES, generated.count, comparison.images.count))
        samples = (
            strip(generated.images(positions), COLUMNS, f"{len(positions)} images of this generator"),
            strip(comparison.images.images(positions), COLUMNS, f"{len(positions)} images of the champion"),
        )
    rows = _rows(evaluation, comparison.evaluation) if comparison.evaluation else []
    return Versus(comparison.name, samples, rows, comparison.remarks)


def _rows(ours: Evaluation, theirs: Evaluation) -> list[Row]:
    rows = []
    for metric, meaning in MEANINGS.items():
        name = score_name(metric, ours.protocol.extractor)
        if name in ours.scores and name in theirs.scores:
            joint = math.hypot(_uncertainty(ours, name), _uncertainty(theirs, name))
            digits = decimals(ours.scores[name], joint)
            mine, other = ours.scores[name], theirs.scores[name]
            verdict = _verdict(meaning, mine, other, joint)
            rows.append(Row(meaning.title, name, shown(mine, digits), shown(other, digits), verdict))
    return rows


def _verdict(meaning: Meaning, ours: float, theirs: float, joint: float) -> str:
    """In a word; the same where the difference is within the joint uncertainty."""
    if abs(ours - theirs) <= JOINT_UNCERTAINTIES * joint or ours == theirs:
        return "the same"
    if meaning.better.startswith("near "):
        target = float(meaning.better.removeprefix("near "))
        better = abs(ours - target) < abs(theirs - target)
    else:
        better = (ours < theirs) == (meaning.better == "lower")
    return "better" if better else "worse"


def _uncertainty(evaluation: Evaluation, name: str) -> float:
    """The spread over the sampling seeds and the standard error over the images together."""
    return math.hypot(evaluation.spread[name], evaluation.standard_errors.get(name, 0.0))

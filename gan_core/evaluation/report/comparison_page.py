"""Renders a comparison of trainings as an HTML page in the report's style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_core.evaluation.comparison_rows import PAIR_COLUMNS, VALUE_COLUMNS, pair_rows, value_rows
from gan_core.evaluation.report.template import render
from gan_core.evaluation.score_meanings import Meaning
from gan_core.evaluation.seed_comparison import FEWEST_SEEDS, SeedComparison, ValueScores

WIDTH = 240
_MARGIN = 6


@dataclass(frozen=True)
class ComparisonSection:
    """One comparison on the page.

    Attributes:
        title: what distinguishes it from the page's other comparisons; empty if it is the only one.
        comparison: the values and their pairs.
        terms: what all of its runs have in common, by name.
    """

    title: str
    comparison: SeedComparison
    terms: Mapping[str, str]


@dataclass(frozen=True)
class Strip:
    """The seeds' scores of one value on an axis that all values share, in pixels; `low` and `high` end the interval."""

    points: tuple[float, ...]
    low: float
    high: float


def render_comparison(
    by: str, score: str, meaning: Meaning, sections: Sequence[ComparisonSection], remarks: Sequence[str]
) -> str:
    """Returns the page.

    Args:
        by: the parameter whose values are compared.
        score: the score's name.
        meaning: the score's meaning.
        sections: the comparisons, at least one.
        remarks: sentences on the runs that were left out.
    """
    return render(
        "comparison.html.j2",
        by=by,
        score=score,
        meaning=meaning,
        remarks=remarks,
        value_columns=VALUE_COLUMNS,
        pair_columns=PAIR_COLUMNS,
        fewest_seeds=FEWEST_SEEDS,
        width=WIDTH,
        sections=[
            (
                section,
                list(zip(value_rows(section.comparison), _strips(section.comparison.values), strict=True)),
                pair_rows(section.comparison),
            )
            for section in sections
        ],
    )


def _strips(values: Sequence[ValueScores]) -> list[Strip]:
    """Draws the axis over all scores, and over the intervals of values with enough seeds; longer intervals are cut."""
    ends = [score for value in values for score in value.scores.values()]
    for value in values:
        if len(value.scores) >= FEWEST_SEEDS:
            ends += [value.mean.low, value.mean.high]
    first, span = min(ends), (max(ends) - min(ends)) or 1.0

    def position(score: float) -> float:
        share = min(max((score - first) / span, 0.0), 1.0)
        return round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 1)

    strips = []
    for value in values:
        ends_of_interval = (value.mean.low, value.mean.high)
        low, high = ends_of_interval if all(map(math.isfinite, ends_of_interval)) else (value.mean.mean,) * 2
        strips.append(Strip(tuple(map(position, value.scores.values())), position(low), position(high)))
    return strips

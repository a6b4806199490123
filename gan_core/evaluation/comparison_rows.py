"""Formats a comparison over seeds, for a terminal and for its page."""

from __future__ import annotations

import math

from gan_core.evaluation.score_meanings import decimals, shown
from gan_core.evaluation.seed_comparison import Mean, SeedComparison

VALUE_COLUMNS = ("seeds", "mean", "95 % interval")
PAIR_COLUMNS = ("shared seeds", "difference", "95 % interval", "p", "corrected p", "result")


def value_rows(comparison: SeedComparison) -> list[tuple[str, ...]]:
    """Returns a row for each value of the parameter: the value, and the cells of VALUE_COLUMNS."""
    return [(one.value, str(len(one.scores)), *_mean(one.mean)) for one in comparison.values]


def pair_rows(comparison: SeedComparison) -> list[tuple[str, ...]]:
    """Returns a row for each pair of values: their names, and the cells of PAIR_COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for pair in comparison.pairs:
        test = ("", "", "", "")
        if pair.tested:
            test = (
                *_mean(pair.tested.difference),
                _probability(pair.tested.p_value),
                _probability(pair.tested.corrected),
            )
        rows.append((f"{pair.first} − {pair.second}", str(len(pair.shared)), *test, pair.verdict))
    return rows


def _mean(mean: Mean) -> tuple[str, str]:
    reach = mean.high - mean.mean
    digits = decimals(mean.mean, reach if math.isfinite(reach) else None)
    interval = f"{shown(mean.low, digits)} to {shown(mean.high, digits)}" if math.isfinite(reach) else ""
    return shown(mean.mean, digits), interval


def _probability(p_value: float) -> str:
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}"

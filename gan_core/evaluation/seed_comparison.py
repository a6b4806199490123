"""Compares the scores of trainings that differ in one parameter, each value of which was trained with several seeds.

Two values are compared by the paired t test over the seeds that both have. It assumes that the differences are normally
distributed. Exact tests without this assumption (sign flips, Wilcoxon's ranks) give no p-value below 2/2ⁿ with n seeds:
with 3 to 5 seeds, no difference would ever be clear. The p-values of a comparison are corrected by Holm's method.

References: Student 1908, "The probable error of a mean"; Holm 1979, "A simple sequentially rejective multiple test
procedure".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gan_core.evaluation.confidence import COVERED
from gan_core.evaluation.score_meanings import MEANINGS, Meaning, score_name

FEWEST_SEEDS = 3
"""Seeds that two values must share to be tested."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with Student's 95 % interval from `low` to `high`, which is infinite for one seed."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ValueScores:
    """The scores of one value of the parameter.

    Attributes:
        value: the value as text.
        scores: the score of each seed.
        mean: over all seeds.
    """

    value: str
    scores: Mapping[int, float]
    mean: Mean


@dataclass(frozen=True)
class Tested:
    """The paired test of two values.

    Attributes:
        difference: mean of the first value's scores minus the second's, over the shared seeds.
        p_value: p-value of the paired t test; the null hypothesis is that the expected difference is 0.
        corrected: the same p-value, corrected by Holm's method for all tested pairs.
    """

    difference: Mean
    p_value: float
    corrected: float


@dataclass(frozen=True)
class Pair:
    """Two values of the parameter.

    Attributes:
        first, second: the values.
        shared: the seeds that both have.
        tested: the paired test; None if there are fewer than FEWEST_SEEDS shared seeds.
        verdict: the result, such as `hinge is better`.
        missing: what is missing for a test, as a sentence; empty if there is one.
    """

    first: str
    second: str
    shared: tuple[int, ...]
    tested: Tested | None
    verdict: str
    missing: str


@dataclass(frozen=True)
class SeedComparison:
    """All values, the best mean first, and all pairs of them in the same order."""

    values: tuple[ValueScores, ...]
    pairs: tuple[Pair, ...]


def compare(scores: Mapping[str, Mapping[int, float]], better: str) -> SeedComparison:
    """Compares every pair of values.

    A score for which values near a target are good is tested by its distance from the target.

    Args:
        scores: the score of each seed, for each value of the parameter; at least one seed for each value.
        better: which scores are good, as in `Meaning.better`.
    """
    losses = {
        value: {seed: _loss(score, better) for seed, score in of_value.items()} for value, of_value in scores.items()
    }
    means = {value: mean_over_seeds(list(of_value.values())) for value, of_value in scores.items()}
    order = sorted(scores, key=lambda value: (_loss(means[value].mean, better), value))
    differences = {
        (first, second): {
            seed: losses[first][seed] - losses[second][seed]
            for seed in sorted(losses[first].keys() & losses[second].keys())
        }
        for first, second in itertools.combinations(order, 2)
    }
    testable = [pair for pair, of_pair in differences.items() if len(of_pair) >= FEWEST_SEEDS]
    p_values = [p_value(list(differences[pair].values())) for pair in testable]
    tests = {pair: result for pair, *result in zip(testable, p_values, holm(p_values), strict=True)}
    sign = -1 if better == "higher" else 1
    pairs = []
    for (first, second), of_pair in differences.items():
        tested, verdict, missing = None, "no test", ""
        if test := tests.get((first, second)):
            tested = Tested(mean_over_seeds([sign * entry for entry in of_pair.values()]), *test)
            verdict = _verdict(first, second, sign * tested.difference.mean, tested.corrected)
        else:
            missing = _missing(first, second, scores, of_pair)
        pairs.append(Pair(first, second, tuple(of_pair), tested, verdict, missing))
    values = tuple(ValueScores(value, dict(sorted(scores[value].items())), means[value]) for value in order)
    return SeedComparison(values, tuple(pairs))


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Returns mean ± t·s/√n, where s is the standard deviation (ddof 1) and t a quantile with n − 1 degrees of freedom.

    The mean does not depend on the order of the values.
    """
    from scipy.stats import t

    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return Mean(mean, -math.inf, math.inf)
    reach = float(t.ppf((1 + COVERED) / 2, count - 1)) * _standard_error(values)
    return Mean(mean, mean - reach, mean + reach)


def p_value(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of the t test that the expected difference is 0; 1 if all differences are 0."""
    from scipy.stats import t

    mean, error = math.fsum(differences) / len(differences), _standard_error(differences)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / error, len(differences) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns corrected p-values: for the i-th smallest of m, the maximum over j ≤ i of min(1, (m − j + 1)·p_j)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    factors = [(len(order) - rank) * p_values[index] for rank, index in enumerate(order)]
    highest = itertools.accumulate((min(1.0, factor) for factor in factors), max)
    by_index = dict(zip(order, highest, strict=True))
    return [by_index[index] for index in range(len(order))]


def meaning_of(name: str, extractor: str) -> Meaning | None:
    """Returns the meaning of the score `name` under a protocol with this extractor; None if it is not a score."""
    return next((meaning for metric, meaning in MEANINGS.items() if score_name(metric, extractor) == name), None)


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(sorted(values), ddof=1)) / math.sqrt(len(values))


def _loss(score: float, better: str) -> float:
    """A number that is lower for a better score."""
    if better.startswith("near "):
        return abs(score - float(better.removeprefix("near ")))
    return score if better == "lower" else -score


def _verdict(first: str, second: str, difference: float, corrected: float) -> str:
    if corrected >= 1 - COVERED:
        return "no clear difference"
    return f"{first if difference < 0 else second} is better"


def _missing(first: str, second: str, scores: Mapping[str, Mapping[int, float]], shared: Collection[int]) -> str:
    """Says which trainings are missing for a test; those that share a seed with a training that exists come first."""
    wanted, parts = FEWEST_SEEDS - len(shared), []
    for value, other in ((first, second), (second, first)):
        seeds = sorted(scores[other].keys() - scores[value].keys())[:wanted]
        wanted -= len(seeds)
        parts += [f"{value} with seed {seed}" for seed in seeds]
    if wanted:
        parts.append(f"both with {wanted} new seed{'s' * (wanted > 1)}")
    return (
        f"{first} and {second}: a test needs {FEWEST_SEEDS} shared seeds, and there {_count(len(shared))}. "
        f"Missing: {', '.join(parts)}."
    )


def _count(number: int) -> str:
    return "is 1" if number == 1 else f"are {number or 'none'}"

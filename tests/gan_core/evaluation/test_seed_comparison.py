"""Trainings with several seeds are compared: means, intervals, paired tests and their correction."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan_core.evaluation.seed_comparison import SeedComparison, compare, holm, mean_over_seeds, meaning_of, p_value

SCORES = {
    "hinge": {0: 8.0, 1: 9.0, 2: 7.0, 3: 8.5},
    "minimax": {0: 10.0, 1: 12.0, 2: 9.5},
    "wasserstein": {2: 30.0, 5: 28.0},
}


def pair(comparison: SeedComparison, *names: str) -> object:
    return next(one for one in comparison.pairs if {one.first, one.second} == set(names))


def test_the_interval_is_students() -> None:
    found = mean_over_seeds([1.0, 2.0, 3.0])
    # The quantile of Student's distribution with two degrees of freedom is (2q − 1)·√(2 / (4q(1 − q))).
    quantile = (2 * 0.975 - 1) * math.sqrt(2 / (4 * 0.975 * 0.025))
    assert (found.mean, found.low, found.high) == pytest.approx(
        (2, 2 - quantile / math.sqrt(3), 2 + quantile / math.sqrt(3))
    )
    assert mean_over_seeds([4.0]).high == math.inf


@pytest.mark.parametrize("count", [3, 5, 20])
def test_the_p_value_is_that_of_the_paired_t_test(count: int) -> None:
    draws = np.random.Generator(np.random.Philox(key=count))
    first, second = draws.normal(size=count), draws.normal(0.5, 2, size=count)
    expected = stats.ttest_rel(first, second)
    assert p_value(list(first - second)) == pytest.approx(expected.pvalue)
    comparison = compare({"a": dict(enumerate(first)), "b": dict(enumerate(second))}, "higher")
    [one] = comparison.pairs
    assert one.tested is not None
    interval = expected.confidence_interval(0.95)
    sign = 1 if one.first == "a" else -1
    assert sorted([one.tested.difference.low, one.tested.difference.high]) == pytest.approx(
        sorted([sign * interval.low, sign * interval.high])
    )


def test_holms_correction_of_known_p_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_values_stand_with_the_best_mean_first_and_pairs_use_their_shared_seeds() -> None:
    comparison = compare(SCORES, "lower")
    assert [one.value for one in comparison.values] == ["hinge", "minimax", "wasserstein"]
    assert comparison.values[0].mean.mean == 8.125
    tested = pair(comparison, "hinge", "minimax")
    assert tested.shared == (0, 1, 2)
    assert tested.tested.difference.mean == pytest.approx(-2.5)
    assert tested.tested.p_value == tested.tested.corrected == pytest.approx(2 * stats.t.sf(math.sqrt(75), 2))
    assert tested.verdict == "hinge is better"
    assert not tested.missing


def test_a_pair_with_too_few_shared_seeds_says_what_is_missing() -> None:
    comparison = compare(SCORES, "lower")
    assert pair(comparison, "hinge", "wasserstein").tested is None
    assert pair(comparison, "hinge", "wasserstein").missing == (
        "hinge and wasserstein: a test needs 3 shared seeds, and there is 1. "
        "Missing: hinge with seed 5, wasserstein with seed 0."
    )
    [lonely] = compare({"a": {0: 1.0}, "b": {1: 2.0}}, "lower").pairs
    assert lonely.missing == (
        "a and b: a test needs 3 shared seeds, and there are none. "
        "Missing: a with seed 1, b with seed 0, both with 1 new seed."
    )


def test_the_direction_of_a_score_decides_who_is_better() -> None:
    scores = {"a": {0: 0.10, 1: 0.11, 2: 0.12}, "b": {0: 0.51, 1: 0.50, 2: 0.52}}
    for better, winner, difference in (
        ("lower", "a", -0.4),
        ("higher", "b", 0.4),
        ("near 0.5", "b", -0.38),
        ("near 0", "a", -0.4),
    ):
        [one] = compare(scores, better).pairs
        assert one.first == winner
        assert one.verdict == f"{winner} is better"
        assert one.tested is not None
        assert one.tested.difference.mean == pytest.approx(difference)


def test_a_parameter_without_effect_makes_no_difference() -> None:
    [one] = compare({"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 1.0, 1: 2.0, 2: 3.0}}, "lower").pairs
    assert one.tested is not None
    assert one.tested.p_value == 1
    assert one.verdict == "no clear difference"


def test_several_equal_values_rarely_give_a_clear_difference() -> None:
    draws = np.random.Generator(np.random.Philox(key=0)).normal(size=(300, 4, 5))
    clear = 0
    for scores in draws:
        comparison = compare({str(value): dict(enumerate(seeds)) for value, seeds in enumerate(scores)}, "lower")
        clear += any(one.verdict.endswith("is better") for one in comparison.pairs)
    assert clear / len(draws) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(draws))


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.dictionaries(st.integers(0, 5), st.floats(-1e6, 1e6), min_size=1),
        min_size=2,
    ),
    st.sampled_from(["lower", "higher", "near 1"]),
    st.randoms(use_true_random=False),
)
def test_the_order_of_values_and_seeds_changes_nothing(
    scores: dict[str, dict[int, float]], better: str, order: random.Random
) -> None:
    def shuffled(entries: dict) -> dict:
        return dict(order.sample(list(entries.items()), len(entries)))

    other = {value: shuffled(seeds) for value, seeds in shuffled(scores).items()}
    assert compare(other, better) == compare(scores, better)


def test_a_score_has_its_meaning_only_under_its_extractor() -> None:
    assert meaning_of("fd_classifier", "classifier").title == "Fréchet distance"
    assert meaning_of("fid", "inception").better == "lower"
    assert meaning_of("fid", "classifier") is None
    assert meaning_of("spread/fd_classifier", "classifier") is None

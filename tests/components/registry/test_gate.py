"""The gate: worked examples, and rules that hold for every pair of scores."""

from __future__ import annotations

import pytest
from evaluations import evaluation, register_config
from hypothesis import given
from hypothesis import strategies as st

from components.registry.gate import decide, with_score

CONFIG = register_config("generator")
POSITIVE = st.floats(0.01, 1e3)


@pytest.mark.parametrize(
    ("score", "spread", "outcome"),
    [
        (50.0, 0.1, "champion"),  # the champion has 100 ± 3: better by 50 > max(0.1 · 100, 2 √(3² + 0.1²) = 6.0)
        (90.1, 0.1, "challenger"),  # better by 9.9, not by 10
        (89.9, 0.1, "champion"),  # better by 10.1
        (89.0, 5.0, "challenger"),  # better by 11 < 2 √(3² + 5²) = 11.66
        (88.0, 5.0, "champion"),  # better by 12 > 11.66
        (100.0, 0.1, "challenger"),
        (130.0, 0.1, "challenger"),
    ],
)
def test_a_champion_is_replaced_only_beyond_the_minimum_improvement_and_the_spread(
    score: float, spread: float, outcome: str
) -> None:
    assert decide(CONFIG, evaluation(score, spread), False, evaluation(100.0, 3.0), "1").outcome == outcome


def test_standard_errors_count_like_the_spread() -> None:
    # It is better by 12. Without standard errors 2 √(3² + 5²) = 11.66 suffice; with one, 2 √(3² + 5² + 2²) = 12.33.
    challenger = evaluation(88.0, 5.0).model_copy(update={"standard_errors": {"fd_classifier": 2.0}})
    assert decide(CONFIG, challenger, False, evaluation(100.0, 3.0), "1").outcome == "challenger"


def test_the_first_generator_becomes_the_champion() -> None:
    assert decide(CONFIG, evaluation(1e6, 0.0), False, None, None).outcome == "champion"


def test_a_collapsed_generator_is_refused_even_without_a_champion() -> None:
    decision = decide(CONFIG, evaluation(1.0, 0.0), True, None, None)
    assert decision == ("refused", "The generator has collapsed: nearly all of its samples are the same.")


def test_scores_of_another_protocol_are_refused_and_each_difference_is_named() -> None:
    decision = decide(CONFIG, evaluation(1.0, 0.0, samples=10, resize="clean"), False, evaluation(9.0, 0.0), "7")
    assert decision.outcome == "refused"
    assert "version 7, have different protocols: resize: clean, not none; samples: 10, not 5000 gen" in decision.reason


def test_a_different_number_of_real_images_is_explained() -> None:
    decision = decide(CONFIG, evaluation(1.0, 0.0, reference_count=80), False, evaluation(9.0, 0.0), "7")
    assert decision.outcome == "refused"
    assert "80, not 2500 real examples (the Fréchet distance falls as their number grows)" in decision.reason


def test_a_candidate_is_refused_if_the_champion_has_no_record_or_lacks_the_score() -> None:
    other = evaluation(9.0, 0.0).model_copy(update={"scores": {}})
    assert decide(CONFIG, evaluation(1.0, 0.0), False, other, "1").outcome == "refused"
    assert decide(CONFIG, evaluation(1.0, 0.0), False, None, "1").outcome == "refused"


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_two_generators_never_each_replace_the_other(a: float, a_spread: float, b: float, b_spread: float) -> None:
    first, second = evaluation(a, a_spread), evaluation(b, b_spread)
    outcomes = {decide(CONFIG, *pair).outcome for pair in ((first, False, second, "1"), (second, False, first, "1"))}
    assert "challenger" in outcomes


@given(POSITIVE, POSITIVE, POSITIVE)
def test_equal_scores_never_replace_the_champion(score: float, spread: float, other_spread: float) -> None:
    config = CONFIG.model_copy(update={"minimum_improvement": 0.0, "spread_multiplier": 0.0})
    assert (
        decide(config, evaluation(score, spread), False, evaluation(score, other_spread), "1").outcome == "challenger"
    )


def test_the_score_that_decides_follows_from_the_evaluation() -> None:
    automatic = CONFIG.model_copy(update={"score": "auto"})
    scored = evaluation(1.0, 0.0)
    assert with_score(automatic, scored).score == "fd_classifier"
    assert with_score(CONFIG, scored) == CONFIG
    kernel = scored.model_copy(update={"scores": {"kid_classifier": 0.1}})
    assert with_score(automatic, kernel).score == "kid_classifier"
    inception = scored.protocol.model_copy(update={"extractor": "inception"})
    published = scored.model_copy(update={"protocol": inception, "scores": {"fid": 3.0, "kid_inception": 0.1}})
    assert with_score(automatic, published).score == "fid"

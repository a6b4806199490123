"""When a repeated registration keeps its decision and when it decides again, in a real registry on sqlite."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluations import evaluation, generator
from registrations import CONFIG, MARKS, register_scores, registry

from components.registry.registration import register
from components.tracking.server import connect
from gan_core.evaluation.protocol import ChampionScores
from gan_core.export import generator_digest

pytestmark = MARKS


def test_a_repetition_changes_nothing_even_if_the_champion_has_changed() -> None:
    first = register_scores("first", 100.0, 3.0)
    scores = evaluation(100.0, 3.0, first["run_id"])
    assert not first["repeated"]
    assert register(CONFIG, Path("first"), scores) == {**first, "repeated": True}
    register_scores("better", 50.0, 3.0)
    before = registry()
    assert register(CONFIG, Path("first"), scores) == {**first, "repeated": True}
    assert registry() == before == ({"champion": "2"}, 2)


def test_a_changed_rule_decides_again_about_the_same_version() -> None:
    register_scores("first", 100.0, 3.0)
    near = register_scores("near", 95.0, 0.1)
    assert near["decision"] == "challenger"
    bolder = CONFIG.model_copy(update={"minimum_improvement": 0.0, "spread_multiplier": 1.0})
    again = register(bolder, Path("near"), evaluation(95.0, 0.1, near["run_id"]))
    assert (again["decision"], again["version"]) == ("champion", "2")
    assert registry() == ({"champion": "2"}, 2)


@pytest.mark.parametrize(("champion_score", "decision"), [(50.0, "champion"), (5.0, "challenger"), (None, "refused")])
def test_the_champions_scores_under_the_new_protocol_decide_on_new_data(
    champion_score: float | None, decision: str
) -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    scored = evaluation(10.0, 0.1, reference_digest="sha256-new")
    if champion_score is not None:
        theirs = evaluation(champion_score, 0.1).model_dump(include={"scores", "spread", "standard_errors"})
        champion = ChampionScores(generator_digest=generator_digest(Path("first")), **theirs)
        scored = scored.model_copy(update={"champion": champion})
    record = register(CONFIG, generator(Path("second")), scored)
    assert (record["decision"], record["champion"]) == (decision, "1")
    if champion_score is None:
        assert "reference_digest: sha256-new, not sha256-old" in record["reason"]
    else:
        assert f"10 ± 0.1, compared with {champion_score:.4g} ± 0.1 of version 1" in record["reason"]
    assert registry()[0]["champion"] == ("2" if decision == "champion" else "1")


def test_a_refused_generator_is_decided_again_when_the_champions_scores_are_added() -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    second, scored = generator(Path("second")), evaluation(10.0, 0.1, reference_digest="sha256-new")
    assert register(CONFIG, second, scored)["decision"] == "refused"
    assert register(CONFIG, second, scored)["repeated"]
    theirs = evaluation(50.0, 0.1).model_dump(include={"scores", "spread", "standard_errors"})
    champion = ChampionScores(generator_digest=generator_digest(Path("first")), **theirs)
    together = scored.model_copy(update={"champion": champion})
    again = register(CONFIG, second, together)
    assert (again["decision"], again["version"], again["repeated"]) == ("champion", "2", False)
    assert register(CONFIG, second, together) == {**again, "repeated": True}


def test_scores_of_a_former_champion_are_ignored() -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    other = ChampionScores(
        generator_digest="sha256-other",
        scores={"fd_classifier": 50.0},
        spread={"fd_classifier": 0.1},
        standard_errors={},
    )
    scored = evaluation(10.0, 0.1, reference_digest="sha256-new").model_copy(update={"champion": other})
    assert register(CONFIG, generator(Path("second")), scored)["decision"] == "refused"


def test_scores_of_another_champion_do_not_make_a_new_version() -> None:
    first = register_scores("first", 100.0, 3.0)
    scores = evaluation(100.0, 3.0, first["run_id"])
    other = ChampionScores(generator_digest="sha256-other", scores={}, spread={}, standard_errors={})
    again = register(CONFIG, Path("first"), scores.model_copy(update={"champion": other}))
    assert again == {**first, "repeated": True}
    assert registry() == ({"champion": "1"}, 1)


def test_a_champion_that_was_registered_without_scores_is_not_replaced() -> None:
    client = connect()
    client.create_registered_model("generator")
    client.create_model_version("generator", "file:///elsewhere")
    client.set_registered_model_alias("generator", "champion", "1")
    record = register_scores("first", 1.0, 0.0)
    assert (record["decision"], record["champion"]) == ("refused", "1")
    assert registry() == ({"champion": "1"}, 2)

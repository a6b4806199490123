"""The champion moved by hand, on a real registry on sqlite."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, generator

from components import promote
from components.cli.command import run
from components.register import register
from components.registry import manual_decisions as by_hand
from components.registry.manual_decisions import Hand
from components.tracking.server import connect
from gan_core.config import RegisterConfig
from gan_core.errors import TryAgain

CONFIG = RegisterConfig(model_name="cats", score="fd_classifier", minimum_improvement=0.1, spread_multiplier=2.0)

pytestmark = [
    pytest.mark.usefixtures("project"),
    # MLflow's own modules, while they are imported and when they look at an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def register_scores(name: str, score: float, config: RegisterConfig = CONFIG) -> dict[str, Any]:
    folder = Path(name) if Path(name).exists() else generator(Path(name), seed=len(name))
    return register(config, folder, evaluation(score, 0.0, of=folder))


def empty_versions(count: int) -> None:
    """Versions 1 to `count`, of which the first is the champion, as cheap as can be."""
    client = connect()
    client.create_registered_model("cats")
    for _ in range(count):
        client.create_model_version("cats", "file:///nowhere")
    client.set_registered_model_alias("cats", "champion", "1")


def by_hand_to(version: str | None, why: str = "It looks better.") -> str:
    return promote.move("cats", version, Hand("anna", why))


def champion() -> str:
    return str(connect().get_registered_model("cats").aliases["champion"])


def record(version: str) -> list[dict[str, Any]]:
    return json.loads(connect().get_model_version("cats", version).tags["by_hand"])


def test_the_champion_moves_and_who_and_why_and_when_is_on_record() -> None:
    empty_versions(2)
    connect().set_registered_model_alias("cats", "challenger", "2")
    assert by_hand_to("2") == "cats: version 2 is the champion, in place of version 1."
    assert connect().get_registered_model("cats").aliases.keys() == {"champion"}
    assert champion() == "2"
    [promoted], [replaced] = record("2"), record("1")
    assert datetime.fromisoformat(promoted.pop("when")).tzinfo
    assert promoted == {"move": "promoted", "before": "1", "by": "anna", "why": "It looks better."}
    assert (replaced["move"], replaced["after"], replaced["by"]) == ("replaced", "2", "anna")
    assert by_hand_to("2") == "cats: version 2 is the champion already; nothing was changed."
    assert len(record("2")) == 1


def test_back_undoes_move_by_move_and_ends() -> None:
    empty_versions(3)
    for version in ("2", "3", "2"):
        by_hand_to(version)
    assert by_hand_to(None) == "cats: version 3 is the champion again, in place of version 2."
    assert by_hand_to(None) == "cats: version 2 is the champion again, in place of version 3."
    assert by_hand_to(None) == "cats: version 1 is the champion again, in place of version 2."
    with pytest.raises(promote.InvalidInput, match=r"must be on record.*Received: --back, model cats"):
        by_hand_to(None)
    assert champion() == "1"


def test_back_undoes_the_gates_decision_too() -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    assert champion() == "2"
    by_hand_to(None, "Its cats have five legs.")
    assert champion() == "1"


@pytest.mark.parametrize("demote", [None, "1"])
def test_what_a_hand_took_back_is_not_promoted_by_a_repetition(demote: str | None) -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    by_hand_to(demote, "Its cats have five legs.")
    bolder = CONFIG.model_copy(update={"minimum_improvement": 0.0})
    for config, score in ((CONFIG, 50.0), (bolder, 50.0), (CONFIG, 49.0)):
        again = register_scores("better", score, config)
        assert again["decision"] == "refused"
        assert "by hand, by anna on 2" in again["reason"]
        assert "Its cats have five legs. Only a hand makes it the champion" in again["reason"]
    assert champion() == "1"
    by_hand_to("2", "They have four.")
    assert register_scores("better", 50.0, bolder)["reason"] == "It is the champion already."


def test_a_registration_that_was_killed_before_it_was_done_does_not_undo_the_hand() -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    by_hand_to(None)
    connect().delete_model_version_tag("cats", "2", "carried_out")
    assert register_scores("better", 50.0)["decision"] == "refused"
    assert champion() == "1"


def test_the_champion_made_by_hand_is_the_one_to_beat() -> None:
    register_scores("first", 100.0)
    register_scores("worse", 150.0)
    by_hand_to("2")
    between = register_scores("between", 120.0)
    assert (between["decision"], between["champion"]) == ("champion", "2")
    by_hand_to(None)
    assert champion() == "2"


def test_killed_between_the_record_and_the_alias_it_is_completed_by_a_repetition(monkeypatch: Any) -> None:
    empty_versions(3)
    by_hand_to("2")
    by_hand_to("3")
    for target, ends in ((None, "2"), ("1", "1")):
        with monkeypatch.context() as patch:
            patch.setattr(by_hand, "_make_champion", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                by_hand_to(target)
        by_hand_to(target)
        assert champion() == ends
    assert [move["move"] for move in record("2")] == ["promoted", "replaced", "returned", "replaced"]
    assert by_hand_to(None) == "cats: version 2 is the champion again, in place of version 1."


def test_a_hand_whose_turn_was_lost_moves_nothing() -> None:
    def lost() -> None:
        raise TryAgain("lost")

    empty_versions(3)
    by_hand_to("2")
    with pytest.raises(TryAgain):
        by_hand.promote(connect(), "cats", "3", Hand("anna", "better"), lost)
    with pytest.raises(TryAgain):
        by_hand.back(connect(), "cats", Hand("anna", "worse"), lost)
    assert champion() == "2"
    assert "by_hand" not in connect().get_model_version("cats", "3").tags


def test_a_record_stays_short_and_one_that_is_none_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_hand, "_MOST_MOVES", 3)
    empty_versions(2)
    connect().set_model_version_tag("cats", "2", "by_hand", "{not ours")
    for _ in range(2):
        by_hand_to("2", "é" * 500)
        by_hand_to("1", "é" * 500)
    assert [move["move"] for move in record("1")] == ["promoted", "replaced", "promoted"]
    assert by_hand_to(None) == "cats: version 2 is the champion again, in place of version 1."


def test_a_champion_before_that_was_deleted_is_not_returned_to() -> None:
    empty_versions(2)
    by_hand_to("2")
    connect().delete_model_version("cats", "1")
    with pytest.raises(promote.InvalidInput, match="must be on record"):
        by_hand_to(None)
    assert len(record("2")) == 1


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["promote", *words])
    try:
        run(promote.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_command_finds_the_model_by_its_data_or_its_name(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    empty_versions(3)
    connect().rename_registered_model("cats", "cats-16x16x1")
    generator(Path("models/generator"), dataset_source="data/raw/cats")
    Path("params.yaml").write_text(f"register: {CONFIG.model_copy(update={'model_name': 'auto'}).model_dump_json()}")
    assert command(monkeypatch, "--version", "2", "--reason", "Better.", "--by", "anna") == 0
    assert capsys.readouterr().out == "cats-16x16x1: version 2 is the champion, in place of version 1.\n"
    assert command(monkeypatch, "--version", "03", "--reason", "Better.", "--name", "cats-16x16x1") == 0
    assert command(monkeypatch, "--back", "--reason", "Worse.", "--name", "cats-16x16x1") == 0
    assert "version 2 is the champion again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--version", "7", "--reason", "x"], "must be registered. Received: version 7 of cats"),
        (["--version", "one", "--reason", "x"], "--version must be a version's number. Received: 'one'"),
        (["--version", "-1", "--reason", "x"], "--version must be a version's number. Received: '-1'"),
        (["--version", "1", "--reason", " "], "--reason must be a line of 1 to 500 printable characters"),
        (["--version", "1", "--reason", "a\nb"], "--reason must be a line"),
        (["--version", "1", "--reason", "x" * 501], "--reason must be a line"),
        (["--version", "1"], "--reason"),
        (["--back", "--reason", "x"], "The champion before must be on record"),
        (["--back", "--version", "1", "--reason", "x"], "not allowed with"),
        (["--back", "--reason", "x", "--name", "dogs"], "must be registered. Received: dogs"),
    ],
)
def test_a_mistake_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], sentence: str) -> None:
    empty_versions(1)
    assert command(monkeypatch, "--name", "cats", *words) == 2
    assert sentence in capsys.readouterr().err
    assert champion() == "1"

"""Champions that a person chooses, in a real registry on sqlite."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, generator, register_config

from components import promote
from components.registry import manual_decisions
from components.registry.manual_decisions import ManualDecision
from components.registry.registration import register
from components.tracking.server import connect
from gan_core.config import RegisterConfig
from gan_core.errors import TryAgain
from gan_core.exit_codes import run

CONFIG = register_config("cats")

pytestmark = [
    pytest.mark.usefixtures("project"),
    # MLflow warns when its modules are imported and when it reads an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def register_scores(name: str, score: float, config: RegisterConfig = CONFIG) -> dict[str, Any]:
    folder = Path(name) if Path(name).exists() else generator(Path(name), seed=len(name))
    return register(config, folder, evaluation(score, 0.0, of=folder))


def create_empty_versions(count: int) -> None:
    """Creates versions 1 to `count` without files; the first is the champion."""
    client = connect()
    client.create_registered_model("cats")
    for _ in range(count):
        client.create_model_version("cats", "file:///nowhere")
    client.set_registered_model_alias("cats", "champion", "1")


def move_champion(version: str | None, why: str = "It looks better.") -> str:
    return promote.move("cats", version, ManualDecision("anna", why))


def champion() -> str:
    return str(connect().get_registered_model("cats").aliases["champion"])


def record(version: str) -> list[dict[str, Any]]:
    return json.loads(connect().get_model_version("cats", version).tags["by_hand"])


def test_a_promotion_moves_the_alias_and_records_who_why_and_when() -> None:
    create_empty_versions(2)
    connect().set_registered_model_alias("cats", "challenger", "2")
    assert move_champion("2") == "cats: version 2 is the champion, in place of version 1."
    assert connect().get_registered_model("cats").aliases.keys() == {"champion"}
    assert champion() == "2"
    [promoted], [replaced] = record("2"), record("1")
    assert datetime.fromisoformat(promoted.pop("when")).tzinfo
    assert promoted == {"move": "promoted", "before": "1", "by": "anna", "why": "It looks better."}
    assert (replaced["move"], replaced["after"], replaced["by"]) == ("replaced", "2", "anna")
    assert move_champion("2") == "cats: version 2 is the champion already; nothing was changed."
    assert len(record("2")) == 1


def test_back_undoes_the_moves_one_by_one() -> None:
    create_empty_versions(3)
    for version in ("2", "3", "2"):
        move_champion(version)
    assert move_champion(None) == "cats: version 3 is the champion again, in place of version 2."
    assert move_champion(None) == "cats: version 2 is the champion again, in place of version 3."
    assert move_champion(None) == "cats: version 1 is the champion again, in place of version 2."
    with pytest.raises(promote.InvalidInput, match=r"needs a previous champion .*Received: --back, model cats"):
        move_champion(None)
    assert champion() == "1"


def test_back_also_undoes_a_decision_of_the_gate() -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    assert champion() == "2"
    move_champion(None, "Its cats have five legs.")
    assert champion() == "1"


@pytest.mark.parametrize("demote", [None, "1"])
def test_a_repeated_registration_does_not_promote_a_demoted_generator(demote: str | None) -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    move_champion(demote, "Its cats have five legs.")
    bolder = CONFIG.model_copy(update={"minimum_improvement": 0.0})
    for config, score in ((CONFIG, 50.0), (bolder, 50.0), (CONFIG, 49.0)):
        again = register_scores("better", score, config)
        assert again["decision"] == "refused"
        assert again["reason"].startswith("anna demoted version 2, the same generator, on 2")
        assert "Its cats have five legs. Only components.promote, run by a person," in again["reason"]
    assert champion() == "1"
    move_champion("2", "They have four.")
    assert register_scores("better", 50.0, bolder)["reason"] == "It is the champion already."


def test_completing_a_killed_registration_does_not_undo_a_manual_decision() -> None:
    register_scores("first", 100.0)
    register_scores("better", 50.0)
    move_champion(None)
    connect().delete_model_version_tag("cats", "2", "carried_out")
    assert register_scores("better", 50.0)["decision"] == "refused"
    assert champion() == "1"


def test_new_generators_are_compared_with_the_manually_chosen_champion() -> None:
    register_scores("first", 100.0)
    register_scores("worse", 150.0)
    move_champion("2")
    between = register_scores("between", 120.0)
    assert (between["decision"], between["champion"]) == ("champion", "2")
    move_champion(None)
    assert champion() == "2"


def test_a_repeated_command_completes_a_move_that_was_killed(monkeypatch: Any) -> None:
    create_empty_versions(3)
    move_champion("2")
    move_champion("3")
    for target, expected in ((None, "2"), ("1", "1")):
        with monkeypatch.context() as patch:
            patch.setattr(manual_decisions, "_make_champion", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                move_champion(target)
        move_champion(target)
        assert champion() == expected
    assert [move["move"] for move in record("2")] == ["promoted", "replaced", "returned", "replaced"]
    assert move_champion(None) == "cats: version 2 is the champion again, in place of version 1."


def test_a_move_that_lost_the_lock_changes_nothing() -> None:
    def lock_is_lost() -> None:
        raise TryAgain("lost")

    create_empty_versions(3)
    move_champion("2")
    with pytest.raises(TryAgain):
        manual_decisions.promote(connect(), "cats", "3", ManualDecision("anna", "better"), lock_is_lost)
    with pytest.raises(TryAgain):
        manual_decisions.restore_previous(connect(), "cats", ManualDecision("anna", "worse"), lock_is_lost)
    assert champion() == "2"
    assert "by_hand" not in connect().get_model_version("cats", "3").tags


def test_a_record_keeps_the_latest_moves_and_an_unreadable_record_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual_decisions, "_MOST_MOVES", 3)
    create_empty_versions(2)
    connect().set_model_version_tag("cats", "2", "by_hand", "{not ours")
    for _ in range(2):
        move_champion("2", "é" * 500)
        move_champion("1", "é" * 500)
    assert [move["move"] for move in record("1")] == ["promoted", "replaced", "promoted"]
    assert move_champion(None) == "cats: version 2 is the champion again, in place of version 1."


def test_a_deleted_previous_champion_is_not_restored() -> None:
    create_empty_versions(2)
    move_champion("2")
    connect().delete_model_version("cats", "1")
    with pytest.raises(promote.InvalidInput, match="needs a previous champion"):
        move_champion(None)
    assert len(record("2")) == 1


def run_command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["promote", *words])
    try:
        run(promote.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_command_finds_the_model_by_the_generators_data_or_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    create_empty_versions(3)
    connect().rename_registered_model("cats", "cats-16x16x1")
    generator(Path("models/generator"), dataset_source="data/raw/cats")
    Path("params.yaml").write_text(f"register: {CONFIG.model_copy(update={'model_name': 'auto'}).model_dump_json()}")
    assert run_command(monkeypatch, "--version", "2", "--reason", "Better.", "--by", "anna") == 0
    assert capsys.readouterr().out == "cats-16x16x1: version 2 is the champion, in place of version 1.\n"
    assert run_command(monkeypatch, "--version", "03", "--reason", "Better.", "--name", "cats-16x16x1") == 0
    assert run_command(monkeypatch, "--back", "--reason", "Worse.", "--name", "cats-16x16x1") == 0
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
        (["--back", "--reason", "x"], "--back needs a previous champion"),
        (["--back", "--version", "1", "--reason", "x"], "not allowed with"),
        (["--back", "--reason", "x", "--name", "dogs"], "must be registered. Received: dogs"),
    ],
)
def test_a_users_mistake_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], sentence: str
) -> None:
    create_empty_versions(1)
    assert run_command(monkeypatch, "--name", "cats", *words) == 2
    assert sentence in capsys.readouterr().err
    assert champion() == "1"

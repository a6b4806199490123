"""The evaluate command with a champion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from evaluate_runs import Workspace

from components.registry import champion
from gan_core.evaluation.champion import Champion
from gan_core.export import generator_digest


def test_the_champion_is_evaluated_and_compared(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    report = workspace.folder / "compared.html"
    options = ("--real", workspace.data, "--generated", workspace.generator, "--report", report)
    alone = workspace.evaluate(*options)
    assert "Comparison with the champion" not in report.read_text()
    capsys.readouterr()
    compared = workspace.evaluate(*options, "--champion", workspace.rival)
    assert (
        compared.model_copy(update={"champion": None}) == alone
    )  # the champion does not change the generator's scores
    rival = workspace.evaluate("--real", workspace.data, "--generated", workspace.rival)
    assert compared.champion is not None
    assert (compared.champion.scores, compared.champion.spread) == (rival.scores, rival.spread)
    assert compared.champion.generator_digest == generator_digest(workspace.rival)
    assert str(workspace.rival) in capsys.readouterr().out
    assert 'alt="20 images of the champion"' in report.read_text()
    assert workspace.evaluate(*options, "--champion", workspace.colour).champion is None
    shown = capsys.readouterr().out
    assert f"note: The champion, {workspace.colour}, cannot be evaluated: The classifier compares arrays" in shown
    assert "cannot be evaluated" in report.read_text()


def test_the_champion_draws_as_many_images_as_the_generated_folder_holds(workspace: Workspace) -> None:
    compared = workspace.evaluate(
        "--real",
        workspace.data,
        "--generated",
        workspace.images,
        "--champion",
        workspace.rival,
        samples=150,
        extractor="random",
    )
    alone = workspace.evaluate("--real", workspace.data, "--generated", workspace.rival, samples=90, extractor="random")
    assert compared.champion is not None
    assert compared.champion.scores == alone.scores


def test_the_champions_recorded_scores_are_used_only_under_the_same_protocol(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--real", workspace.data, "--generated", workspace.generator, "--champion", workspace.rival)
    record = workspace.evaluate("--real", workspace.data, "--generated", workspace.rival)
    recorded = record.model_copy(update={"scores": record.scores | {"fd_classifier": 98765.0}})

    @contextlib.contextmanager
    def registered(*_: object) -> Iterator[Champion]:
        yield Champion("version 7", workspace.rival, recorded)

    monkeypatch.setattr(champion, "find_champion", registered)
    capsys.readouterr()
    workspace.evaluate(*options)
    assert "98765" in capsys.readouterr().out
    fewer = recorded.protocol.model_copy(update={"reference_count": 70})
    recorded = recorded.model_copy(update={"protocol": fewer})
    workspace.evaluate(*options)
    shown = capsys.readouterr()
    assert "98765" not in shown.out
    assert (
        "note: The champion, version 7, was registered under another protocol: reference_count: 80, not 70" in shown.out
    )
    assert "real examples (the Fréchet distance falls as their number grows)" in shown.out
    assert "champion: " in shown.err  # the champion's images are drawn again

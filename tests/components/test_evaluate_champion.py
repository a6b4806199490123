"""The evaluate command with a champion to compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from evaluate_runs import Place

from components.registry import champion
from gan_core.evaluation.champion import Champion
from gan_core.export import generator_digest


def test_beside_a_champion(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    report = place.folder / "beside.html"
    options = ("--real", place.data, "--generated", place.generator, "--report", report)
    alone = place.evaluate(*options)
    assert "Comparison with the champion" not in report.read_text()
    capsys.readouterr()
    beside = place.evaluate(*options, "--champion", place.rival)
    assert beside.model_copy(update={"champion": None}) == alone  # its own scores do not depend on it
    rival = place.evaluate("--real", place.data, "--generated", place.rival)
    assert beside.champion is not None
    assert (beside.champion.scores, beside.champion.spread) == (rival.scores, rival.spread)
    assert beside.champion.generator_digest == generator_digest(place.rival)
    assert str(place.rival) in capsys.readouterr().out
    assert 'alt="20 images of the champion"' in report.read_text()
    assert place.evaluate(*options, "--champion", place.colour).champion is None
    shown = capsys.readouterr().out
    assert f"note: The champion, {place.colour}, cannot be evaluated: The classifier compares images" in shown
    assert "cannot be evaluated" in report.read_text()


def test_beside_images_the_champion_draws_as_many(place: Place) -> None:
    beside = place.evaluate(
        "--real", place.data, "--generated", place.images, "--champion", place.rival, samples=150, extractor="random"
    )
    alone = place.evaluate("--real", place.data, "--generated", place.rival, samples=90, extractor="random")
    assert beside.champion is not None
    assert beside.champion.scores == alone.scores


def test_the_champions_record_counts_under_the_same_protocol_only(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--real", place.data, "--generated", place.generator, "--champion", place.rival)
    record = place.evaluate("--real", place.data, "--generated", place.rival)
    recorded = record.model_copy(update={"scores": record.scores | {"fd_classifier": 98765.0}})

    @contextlib.contextmanager
    def registered(*_: object) -> Iterator[Champion]:
        yield Champion("version 7", place.rival, recorded)

    monkeypatch.setattr(champion, "find_champion", registered)
    capsys.readouterr()
    place.evaluate(*options)
    assert "98765" in capsys.readouterr().out
    fewer = recorded.protocol.model_copy(update={"reference_count": 70})
    recorded = recorded.model_copy(update={"protocol": fewer})
    place.evaluate(*options)
    shown = capsys.readouterr()
    assert "98765" not in shown.out
    assert (
        "note: The champion, version 7, was registered under another protocol: reference_count: 80, not 70" in shown.out
    )
    assert "real images (the Fréchet distance falls as their number grows)" in shown.out
    assert "champion: " in shown.err  # its images are drawn again

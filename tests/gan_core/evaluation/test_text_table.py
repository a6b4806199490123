"""Tests the table of scores of texts: it ranks good texts above bad ones, and says when nobody is ahead."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.language_model import LanguageModel
from gan_core.evaluation.metrics import texts as metrics
from gan_core.evaluation.text_record import LOWER_IS_BETTER, TextColumn, TextTable
from gan_core.evaluation.text_table import distances, shares, text_table


def _words(count: int, seed: int) -> np.ndarray:
    """Texts of one to three of the pairs 15, 26, 37, 48."""
    random = np.random.default_rng(seed)
    pairs = random.integers(1, 5, (count, 3))
    codes = np.stack([pairs, pairs + 4], axis=2).reshape(count, 6)
    return np.where(np.arange(6) < 2 * random.integers(1, 4, (count, 1)), codes, 0).astype(np.uint8)


TRAIN, HELD_OUT = _words(400, 0), _words(400, 1)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel(TRAIN, symbols=8, order=3, discount=0.5)


def test_the_scores_of_real_texts_are_better_than_those_of_disordered_ones(model: LanguageModel) -> None:
    real, disordered = (
        distances(texts, HELD_OUT[:200], model) | shares(texts, TRAIN, model.symbols)
        for texts in (_words(200, 2), np.random.default_rng(3).integers(0, 9, (200, 6), np.uint8))
    )
    # Single symbols are as frequent in disordered texts.
    assert all(real[name] < disordered[name] for name in LOWER_IS_BETTER if name != "jensen_shannon_1")
    assert (real["valid"], disordered["valid"] < 0.7) == (1, True)
    assert disordered["edit_distance"] > real["edit_distance"] + 1
    assert real["unique"] < disordered["unique"]  # there are 84 words
    assert real["novel"] < disordered["novel"]


def test_a_copy_of_the_training_texts_is_valid_and_not_novel(model: LanguageModel) -> None:
    scores = shares(TRAIN[:200], TRAIN, model.symbols)
    assert (scores["valid"], scores["novel"], scores["edit_distance"]) == (1, 0, 0)


def test_the_table_names_who_is_ahead(model: LanguageModel) -> None:
    good = text_table([_words(300, seed) for seed in (4, 5, 6)], model, TRAIN, HELD_OUT)
    assert good.count == 200
    assert set(good.leaders().values()) <= {"neither", "generated"}
    bad = text_table([np.full((300, 6), 7, np.uint8)] * 2, model, TRAIN, HELD_OUT)
    assert set(bad.leaders().values()) == {"language_model"}
    assert bad.real.means["fd_ngram"] == pytest.approx(good.real.means["fd_ngram"], rel=0.5)
    assert bad.real.deviations["fd_ngram"] > 0  # of two divisions of the held-out texts
    assert bad.language_model.deviations["fd_ngram"] > 0
    assert bad.generated.deviations["fd_ngram"] == 0


def test_a_difference_within_the_deviation_has_no_leader() -> None:
    def column(value: float, deviation: float) -> TextColumn:
        return TextColumn(
            means=dict.fromkeys(LOWER_IS_BETTER, value), deviations=dict.fromkeys(LOWER_IS_BETTER, deviation)
        )

    for value, leader in ((1.0, "generated"), (1.5, "neither"), (2.3, "neither"), (3.0, "language_model")):
        columns = {"generated": column(value, 0.3), "language_model": column(2.0, 0.1), "real": column(0.5, 0.0)}
        table = TextTable(**columns, count=9, order=3, discount=0.5)
        assert set(table.leaders().values()) == {leader}
        named = {"generated": "the generator", "neither": "neither", "language_model": "the language model"}[leader]
        assert f"(order 3), {named} is ahead in fd_ngram, jensen_shannon_1" in table.sentence()


def test_a_bounded_search_is_recorded(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = text_table([_words(60, 4)], model, TRAIN, HELD_OUT)
    assert "compared" not in whole.model_dump()
    monkeypatch.setattr(metrics, "MOST_CELLS", 60 * 6 * 6 * 7)
    table = text_table([_words(60, 4)], model, TRAIN, HELD_OUT)
    assert table.compared == 7
    assert table.generated.means["edit_distance"] >= whole.generated.means["edit_distance"]
    assert text_table([_words(60, 4)], model, TRAIN, HELD_OUT, only_distances=True).compared is None


def test_too_few_texts_are_refused(model: LanguageModel) -> None:
    with pytest.raises(InvalidInput, match=r"at least 2 of them and 4 held-out ones\. Received: 1 of a set$"):
        text_table([TRAIN], model, TRAIN, HELD_OUT[:3])

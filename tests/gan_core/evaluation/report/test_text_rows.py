"""The report shows texts as they are, whatever they contain, and says with how many others they were compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import evaluation

from gan_core.codecs.text import TextCodec
from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics import texts as metrics
from gan_core.evaluation.report.contents import ReportContents
from gan_core.evaluation.report.page import render_report
from gan_core.evaluation.report.pictures import Pictures, strip
from gan_core.evaluation.report.text_rows import TextRows, text_rows

TEXTS = ["<script>alert(1)</script>", "&amp; &lt;b&gt;", "\"'><i>'", "{{ 7 * 7 }}", "<!-- x", "x" * 512]
CODEC = TextCodec(shape=(512, 1, 1), alphabet="".join(sorted(set("".join(TEXTS)))))


class Stored:
    """Texts in memory."""

    def __init__(self, texts: list[str]) -> None:
        self.count = len(texts)
        points = [np.array([ord(symbol) for symbol in text], "<u4") for text in texts]
        self._arrays = np.stack([CODEC.encode(one) for one in points])

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        yield self._arrays[start:stop]

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self._arrays[indices]


class Shown(HTMLParser):
    """What a browser shows in each element that contains only text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: Counter[str] = Counter()
        self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._text = ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        self.texts[self._text] += 1
        self._text = ""


def rows_of(generated: list[str], known: list[str], labels: list[int]) -> list[TextRows]:
    features = FeatureSet(0, np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0), np.float32))  # the rows need none
    sides = (
        ImagesWithFeatures(Stored(generated), features, np.array(labels)),
        ImagesWithFeatures(Stored(known), features),
    )
    return text_rows(CODEC, *sides, classes=["a", "b", "c"])


def page_of(rows: list[TextRows], texts: list[str]) -> str:
    pictures = Pictures(Stored(texts), CODEC, "text")
    contents = ReportContents(
        subtitle="",
        samples=strip(pictures.at(np.arange(len(texts))), 8, "", fewer_if_wide=True),
        real_samples=None,
        most_realistic=[],
        least_realistic=[],
        classes=[],
        classes_assigned_by="",
        nearest_neighbours=[],
        known_kind="training text",
        item="text",
        interpolations=None,
        champion=None,
        clips=[],
        texts=rows,
        charts=[],
        training_samples=[],
        training="",
        lineage={},
        parameters={},
    )
    return render_report(evaluation(1.0, 0.0), contents)


def test_the_report_shows_texts_as_they_are() -> None:
    page = page_of(rows_of(TEXTS, TEXTS, [0] * len(TEXTS)), TEXTS)
    shown = Shown(page).texts
    # Among the samples, and in the table as the generated text; the nearest one is a copy, in bold.
    assert {text: shown[text] for text in TEXTS} == dict.fromkeys(TEXTS, 3)
    assert "only, because long texts take long" not in page


def test_each_class_has_its_own_texts() -> None:
    first, last = rows_of(["x", "aa", "xx"], ["aaa", "x"], [2, 0, 2])
    assert (first.title, [(pair.text, pair.nearest, pair.edits) for pair in first.pairs]) == ("a", [("aa", "aaa", 1)])
    assert [(pair.text, pair.nearest, pair.edits) for pair in last.pairs] == [("x", "x", 0), ("xx", "x", 1)]
    assert (first.compared, last.title) == (0, "c")


def test_a_bounded_search_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_CELLS", 1)
    rows = rows_of(["x", "aaa"], ["xx", "aa", "x"], [0, 0])
    assert [(pair.nearest, pair.edits) for pair in rows[0].pairs] == [("x", 0), ("xx", 3)]
    assert "compared with the first 1 training texts only" in page_of(rows, ["x"])


def test_headings_of_texts_stay_whole(tmp_path: Path, browser: Any) -> None:
    place = tmp_path / "report.html"
    place.write_text(page_of(rows_of(["x" * 512] * 3, ["y" * 512], [0, 1, 2]), ["x"]), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(place.as_uri())
    heights = opened.evaluate("[...document.querySelectorAll('.tables thead th')].map(cell => cell.clientHeight)")
    assert len(heights) == 9
    assert max(heights) < 30

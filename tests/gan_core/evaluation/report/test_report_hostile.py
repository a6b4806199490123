"""The report escapes names that come from outside."""

from __future__ import annotations

from evaluations import evaluation

from gan_core.evaluation.accuracy_record import ClassAccuracy, Recognised
from gan_core.evaluation.report.clips import Clip, ClipRow
from gan_core.evaluation.report.contents import ReportContents
from gan_core.evaluation.report.gallery import ClassRow
from gan_core.evaluation.report.page import render_report
from gan_core.evaluation.report.pictures import Picture
from gan_core.evaluation.report.text_rows import TextPair, TextRows

HOSTILE = "\"'><script>fetch('https://evil.example')</script><img src=x onerror=alert(1)>\u202e\x1b[2J\udcff"


def test_names_from_outside_are_escaped() -> None:
    picture = Picture("data:image/png;base64,", 1, 1, HOSTILE, HOSTILE)
    contents = ReportContents(
        subtitle=HOSTILE,
        samples=picture,
        real_samples=picture,
        most_realistic=[picture],
        least_realistic=[picture],
        classes=[ClassRow(HOSTILE, 0.5, 0.5, [HOSTILE], picture, picture)],
        classes_assigned_by="labels",
        nearest_neighbours=[],
        clips=[ClipRow(HOSTILE, [Clip(picture, "data:audio/wav;base64,AAAA")])],
        texts=[TextRows(HOSTILE, [TextPair(HOSTILE, HOSTILE, 0)])],
        known_kind=HOSTILE,
        item=HOSTILE,
        interpolations=Picture("", 0, 0, HOSTILE, texts=(HOSTILE,), columns=1),
        champion=None,
        charts=[],
        training_samples=[(HOSTILE, picture)],
        training=HOSTILE,
        lineage={HOSTILE: HOSTILE},
        parameters={HOSTILE: HOSTILE},
    )
    column = (Recognised(correct=1, count=2),)
    accuracy = ClassAccuracy(classes=(HOSTILE,), real=column, generated=column)
    changes = {"warnings": (HOSTILE,), "class_accuracy": accuracy}
    scored = evaluation(1.0, 0.0, reference=HOSTILE).model_copy(update=changes)
    page = render_report(scored, contents)
    assert page.count("&lt;script&gt;") >= 8
    assert "<script" not in page
    assert "<img src=x" not in page
    assert not {"\u202e", "\x1b", "\udcff"} & set(page)
    assert "default-src 'none'" in page

"""Renders the report as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass

from gan_core.evaluation.classes import FEWEST_IN_A_CLASS, MOST_CLASSES
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.contents import ReportContents
from gan_core.evaluation.report.template import render
from gan_core.evaluation.score_meanings import MEANINGS, Meaning, decimals, score_name, shown
from gan_core.evaluation.text_comparison import FEWEST_OF_A_CLASS

KEY_METRICS = ("target_psnr", "fd", "kid", "precision", "recall", "coverage", "diversity", "train_preference")
"""Metrics whose scores are shown below the headline."""


@dataclass(frozen=True)
class DisplayedScore:
    """A score as the page shows it. `spread` and `interval` are empty if there are none."""

    metric: str
    name: str
    meaning: Meaning
    value: str
    spread: str
    interval: str


def render_report(evaluation: Evaluation, contents: ReportContents) -> str:
    """Returns the report as one HTML page that loads nothing else and runs no script.

    >>> page = render_report(evaluation, contents)
    >>> page.startswith("<!doctype html>")
    True
    """
    headline, *others = scores = displayed_scores(evaluation)
    return render(
        "page.html.j2",
        evaluation=evaluation,
        contents=contents,
        item=contents.item,
        scores=scores,
        headline=headline,
        key_scores=[score for score in others if score.metric in KEY_METRICS],
        fewest_in_a_class=FEWEST_IN_A_CLASS,
        most_classes=MOST_CLASSES,
        fewest_texts=FEWEST_OF_A_CLASS,
        largest_share=max((share for row in contents.classes for share in (row.share, row.real_share)), default=1.0),
        protocol=_protocol(evaluation, contents.item),
    )


def displayed_scores(evaluation: Evaluation) -> list[DisplayedScore]:
    """The scores in the order of MEANINGS."""
    scores = []
    for metric, meaning in MEANINGS.items():
        name = score_name(metric, evaluation.protocol.extractor)
        if name in evaluation.scores:
            value, spread = evaluation.scores[name], evaluation.spread[name]
            interval = evaluation.intervals.get(name)
            digits = decimals(value, spread or evaluation.standard_errors.get(name))
            scores.append(
                DisplayedScore(
                    metric,
                    name,
                    meaning,
                    shown(value, digits),
                    f"{spread:.{digits}f}" if spread else "",
                    f"{shown(interval.low, digits)} to {shown(interval.high, digits)}" if interval else "",
                )
            )
    return scores


def _protocol(evaluation: Evaluation, item: str) -> dict[str, str]:
    rows = {name.replace("_", " "): str(value) for name, value in evaluation.protocol.model_dump().items()}
    rows["sampling seeds"] = ", ".join(str(seed) for seed in evaluation.protocol.sampling_seeds) or "none"
    if evaluation.extractor_accuracy is not None:
        rows["extractor accuracy"] = f"{evaluation.extractor_accuracy:.1%} of held-out {item}s"
    return rows

"""The page itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.exhibits import Exhibits
from gan_core.evaluation.scores import MEANINGS, Meaning, decimals, score_name, shown
from gan_core.printing import printable_lines

FACTS = ("target_psnr", "fd", "kid", "precision", "recall", "coverage", "diversity", "train_preference")
"""Figures beside the headline."""


@dataclass(frozen=True)
class Figure:
    """A score as the page shows it."""

    metric: str
    name: str
    meaning: Meaning
    value: str
    spread: str
    interval: str


def render(evaluation: Evaluation, exhibits: Exhibits) -> str:
    """The page as HTML that asks for nothing else: no script, no address outside itself."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = figures(evaluation)
    page = environment.get_template("page.html.j2").render(
        evaluation=evaluation,
        exhibits=exhibits,
        figures=shown,
        headline=shown[0],
        facts=[figure for figure in shown[1:] if figure.metric in FACTS],
        largest_share=max((share for row in exhibits.classes for share in (row.share, row.real_share)), default=1.0),
        protocol=_protocol(evaluation),
    )
    return printable_lines(page)


def _protocol(evaluation: Evaluation) -> dict[str, str]:
    rows = {name.replace("_", " "): str(value) for name, value in evaluation.protocol.model_dump().items()}
    rows["sampling seeds"] = ", ".join(str(seed) for seed in evaluation.protocol.sampling_seeds) or "none"
    if evaluation.extractor_accuracy is not None:
        rows["extractor accuracy"] = f"{evaluation.extractor_accuracy:.1%} of held-out images"
    return rows


def figures(evaluation: Evaluation) -> list[Figure]:
    """The scores in the order in which they are explained."""
    found = []
    for metric, meaning in MEANINGS.items():
        name = score_name(metric, evaluation.protocol.extractor)
        if name in evaluation.scores:
            value, spread = evaluation.scores[name], evaluation.spread[name]
            interval = evaluation.intervals.get(name)
            digits = decimals(value, spread or evaluation.standard_errors.get(name))
            found.append(
                Figure(
                    metric,
                    name,
                    meaning,
                    shown(value, digits),
                    f"{spread:.{digits}f}" if spread else "",
                    f"{shown(interval.low, digits)} to {shown(interval.high, digits)}" if interval else "",
                )
            )
    return found

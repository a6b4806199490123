"""The page itself."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.curves import Chart, chart
from gan_core.evaluation.report.exhibits import Exhibits
from gan_core.evaluation.scores import MEANINGS, Meaning, decimals, score_name

CURVES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Losses", ("generator_loss", "discriminator_loss")),
    ("Logits", ("real_logits", "fake_logits")),
    ("Gradient norms", ("generator_gradient_norm", "discriminator_gradient_norm")),
    ("Weight norms", ("generator_weight_norm", "discriminator_weight_norm")),
    ("Diversity of the samples", ("diversity",)),
    ("Images per second", ("images_per_second",)),
)


FACTS = ("kid", "precision", "recall", "coverage", "diversity", "train_preference")
"""Figures beside the headline."""


@dataclass(frozen=True)
class Figure:
    """A score as the page shows it."""

    metric: str
    name: str
    meaning: Meaning
    value: str
    spread: str
    standard_error: str


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
    return environment.get_template("page.html.j2").render(
        evaluation=evaluation,
        exhibits=exhibits,
        figures=shown,
        headline=shown[0],
        facts=[figure for figure in shown[1:] if figure.metric in FACTS],
        largest_share=max((max(row.share, row.real_share) for row in exhibits.classes), default=1.0),
        protocol=_protocol(evaluation),
    )


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
            error = evaluation.standard_errors.get(name)
            digits = decimals(value, spread or error)
            found.append(
                Figure(
                    metric,
                    name,
                    meaning,
                    f"{value:.{digits}f}",
                    f"{spread:.{digits}f}" if spread else "",
                    f"{error:.2g}" if error else "",
                )
            )
    return found


def training_charts(history: Path) -> list[Chart]:
    """Curves of a training's history.

    Raises:
        InvalidInput: the file is no table of numbers with a column images_seen.
    """
    try:
        with history.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream)
            if "images_seen" not in (table.fieldnames or ()):
                raise ValueError("it has no such column")
            rows = [{name: float(value) for name, value in row.items()} for row in table]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidInput(
            f"The history must be a CSV table of numbers with a column images_seen: {error}. Received: {history}"
        ) from None
    images_seen = [row["images_seen"] for row in rows]
    return [drawn for title, names in CURVES if (drawn := _chart(title, names, images_seen, rows)) is not None]


def _chart(
    title: str, names: Sequence[str], images_seen: Sequence[float], rows: Sequence[Mapping[str, float]]
) -> Chart | None:
    present = [name for name in names if rows and name in rows[0]]
    return chart(title, images_seen, {name.replace("_", " "): [row[name] for row in rows] for name in present})

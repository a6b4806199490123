"""Reads a training's history for the report's curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core import metric_names
from gan_core.errors import InvalidInput
from gan_core.evaluation.report.curves import Chart, chart
from gan_core.metric_names import quick_score

CURVES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Fréchet distance", (quick_score("fid"), quick_score("fd_"))),
    ("Precision and recall", (quick_score("precision_"), quick_score("recall_"))),
    ("Reconstruction term", (metric_names.RECONSTRUCTION,)),
    ("Losses", (metric_names.GENERATOR_LOSS, metric_names.DISCRIMINATOR_LOSS)),
    ("Logits", (metric_names.REAL_LOGITS, metric_names.FAKE_LOGITS)),
    ("Gradient norms", (metric_names.GENERATOR_GRADIENT_NORM, metric_names.DISCRIMINATOR_GRADIENT_NORM)),
    ("Weight norms", (metric_names.GENERATOR_WEIGHT_NORM, metric_names.DISCRIMINATOR_WEIGHT_NORM)),
    ("Diversity of the samples", (metric_names.DIVERSITY,)),
    ("{item}s per second", (metric_names.EXAMPLES_PER_SECOND,)),
)
"""Title and columns of each chart. `{item}` stands for the codec's word; a name that ends in _ stands for that score
with any extractor."""
_TOO_LARGE = 1e100


def training_charts(history: Path, item: str) -> list[Chart]:
    """Draws curves over images seen. Cells may be empty, because not every row has scores.

    Args:
        history: the file that components.train wrote.
        item: the codec's word for an example.

    Raises:
        InvalidInput: the file is not a table of numbers with a column images_seen.
    """
    try:
        with history.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream)
            if "images_seen" not in (table.fieldnames or ()):
                raise ValueError("it has no such column")
            rows = [{metric_names.current(name): _number(value) for name, value in row.items()} for row in table]
        images_seen = [row["images_seen"] for row in rows]
        if not all(map(math.isfinite, images_seen)):
            raise ValueError("a row has no finite number in it")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidInput(
            f"The history must be a CSV table of numbers with a column images_seen: {error}. Received: {history}"
        ) from None
    charts = (_chart(title.format(item=item.capitalize()), names, images_seen, rows, item) for title, names in CURVES)
    return [drawn for drawn in charts if drawn is not None]


def _number(cell: str) -> float:
    """Returns the number in a cell; NaN, which curves leave out, if the cell is empty or the number is too large."""
    number = float(cell) if cell != "" else math.nan
    return number if abs(number) < _TOO_LARGE else math.nan


def _chart(
    title: str, names: Sequence[str], images_seen: Sequence[float], rows: Sequence[Mapping[str, float]], item: str
) -> Chart | None:
    columns = [
        column
        for name in names
        for column in (rows[0] if rows else ())
        if column == name or (name.endswith("_") and column.startswith(name))
    ]
    return chart(title, images_seen, {_legend(column): [row[column] for row in rows] for column in columns}, item)


def _legend(column: str) -> str:
    return column.removeprefix(metric_names.QUICK_SCORES).rpartition("/")[2].replace("_", " ")

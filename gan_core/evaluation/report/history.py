"""Curves of a training's history."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core.errors import InvalidInput
from gan_core.evaluation.report.curves import Chart, chart

CURVES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Fréchet distance", ("fid", "fd_")),
    ("Precision and recall", ("precision_", "recall_")),
    ("Reconstruction term", ("reconstruction",)),
    ("Losses", ("generator_loss", "discriminator_loss")),
    ("Logits", ("real_logits", "fake_logits")),
    ("Gradient norms", ("generator_gradient_norm", "discriminator_gradient_norm")),
    ("Weight norms", ("generator_weight_norm", "discriminator_weight_norm")),
    ("Diversity of the samples", ("diversity",)),
    ("Images per second", ("images_per_second",)),
)
"""Title and columns of each chart; a name that ends in _ stands for that score by any extractor."""


def training_charts(history: Path) -> list[Chart]:
    """Curves over images seen. A cell may be empty: scores are made less often than rows are written.

    Raises:
        InvalidInput: the file is no table of numbers with a column images_seen.
    """
    try:
        with history.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream)
            if "images_seen" not in (table.fieldnames or ()):
                raise ValueError("it has no such column")
            rows = [{name: _number(value) for name, value in row.items()} for row in table]
        images_seen = [row["images_seen"] for row in rows]
        if not all(map(math.isfinite, images_seen)):
            raise ValueError("a row does not say how many")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidInput(
            f"The history must be a CSV table of numbers with a column images_seen: {error}. Received: {history}"
        ) from None
    return [drawn for title, names in CURVES if (drawn := _chart(title, names, images_seen, rows)) is not None]


def _number(cell: str) -> float:
    return float(cell) if cell != "" else math.nan


def _chart(
    title: str, names: Sequence[str], images_seen: Sequence[float], rows: Sequence[Mapping[str, float]]
) -> Chart | None:
    columns = [
        column
        for name in names
        for column in (rows[0] if rows else ())
        if column == name or (name.endswith("_") and column.startswith(name))
    ]
    return chart(title, images_seen, {column.replace("_", " "): [row[column] for row in rows] for column in columns})

"""Logs a comparison of trainings to an MLflow run of its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.tracking.description import NOTE
from components.tracking.runs import create_run
from components.tracking.scored_runs import ScoredRun
from components.tracking.scores import log_tables
from components.tracking.spool import now_milliseconds
from gan_core.evaluation.report.comparison_page import ComparisonSection
from gan_core.evaluation.seed_comparison import Mean

PAGE, VALUES, PAIRS = "compare.html", "values.json", "pairs.json"
_VALUE_COLUMNS = ("runs", "value", "seeds", "mean", "low", "high")
_PAIR_COLUMNS = ("runs", "first", "second", "shared seeds", "difference", "low", "high", "p", "corrected p", "result")


def log_comparison(
    client: Any, asked: Mapping[str, str], used: Sequence[ScoredRun], sections: Sequence[ComparisonSection], page: str
) -> str:
    """Logs tables and page to a run of the experiment `<experiment>-comparisons`, and says which run it is.

    The same question about the same runs and scores has the same run, so a repeated call changes nothing.

    Args:
        client: MLflow's client.
        asked: `by`, `metric`, `experiment` and `filter`.
        used: the compared trainings.
        sections: the comparisons.
        page: their page.
    """
    scores = sorted((run.run_id, run.scores[asked["metric"]]) for run in used)
    identity = hashlib.sha256(json.dumps([dict(asked), scores]).encode()).hexdigest()
    place = f"{asked['experiment']}-comparisons"
    name = f"{asked['metric']} by {asked['by']}"
    run_id = create_run(client, ("comparison", identity), name, {}, now_milliseconds(), experiment_name=place)
    for key, value in asked.items():
        if value:
            client.log_param(run_id, key, value)
    client.log_param(run_id, "runs", len(used))
    client.log_text(run_id, page, PAGE)
    tables = {VALUES: (_VALUE_COLUMNS, _value_rows(sections)), PAIRS: (_PAIR_COLUMNS, _pair_rows(sections))}
    log_tables(client, run_id, tables)
    experiment = client.get_run(run_id).info.experiment_id
    client.set_tag(run_id, NOTE, f"[The page](#/experiments/{experiment}/runs/{run_id}/artifacts/{PAGE})")
    client.set_terminated(run_id)
    return f"the run {run_id} of the experiment {place}"


def _value_rows(sections: Sequence[ComparisonSection]) -> list[list[Any]]:
    return [
        [section.title, one.value, len(one.scores), *_cells(one.mean)]
        for section in sections
        for one in section.comparison.values
    ]


def _pair_rows(sections: Sequence[ComparisonSection]) -> list[list[Any]]:
    rows = []
    for section in sections:
        for pair in section.comparison.pairs:
            test = pair.tested
            figures = [*_cells(test.difference), test.p_value, test.corrected] if test else [None] * 5
            rows.append([section.title, pair.first, pair.second, len(pair.shared), *figures, pair.verdict])
    return rows


def _cells(mean: Mean) -> list[float | None]:
    """Returns mean, low and high, which JSON cannot hold if they are infinite."""
    return [figure if math.isfinite(figure) else None for figure in (mean.mean, mean.low, mean.high)]

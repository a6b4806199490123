"""Reads finished trainings and their scores from MLflow, and groups those that differ in one parameter and the seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.tracking.runs import pages
from gan_core.config.section import nearest
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Protocol
from gan_core.evaluation.seed_comparison import meaning_of
from gan_core.metric_names import score
from gan_core.printing import printable

SEED = "train.seed"
RUNS_IN_A_PAGE = 1000
_OF_DATA = "prepare."
_SCORES = score("")


@dataclass(frozen=True)
class ScoredRun:
    """A finished training.

    Attributes:
        run_id: its MLflow run.
        started: milliseconds since 1970.
        parameters: its parameters except those of the data, which the data's digest stands for.
        data: digest of the prepared data.
        protocol: the protocol of its scores.
        scores: its scores by name.
    """

    run_id: str
    started: int
    parameters: Mapping[str, str]
    data: str
    protocol: Protocol
    scores: Mapping[str, float]

    def terms(self, by: str) -> tuple[tuple[str, str], ...]:
        """Returns all that must be equal in one comparison: parameters but `by` and the seed, data and protocol."""
        terms = {name: value for name, value in self.parameters.items() if name not in (by, SEED)}
        terms["data"] = self.data
        terms |= {f"protocol.{name}": str(value) for name, value in self.protocol.model_dump().items()}
        return tuple(sorted(terms.items()))


@dataclass(frozen=True)
class Group:
    """Runs that differ only in one parameter and the seed.

    Attributes:
        terms: all that they have in common.
        runs: one run for each value of the parameter and each seed.
    """

    terms: Mapping[str, str]
    runs: Mapping[str, Mapping[int, ScoredRun]]


def read_runs(client: Any, experiment: str, query: str) -> tuple[list[ScoredRun], Counter[str]]:
    """Reads the runs of the experiment with this number that fit MLflow's filter `query`.

    Returns:
        The finished trainings with scores, and how many other runs there are, by the reason.

    Raises:
        InvalidInput: MLflow cannot read the filter.
    """
    from mlflow.exceptions import MlflowException

    found: list[ScoredRun] = []
    left_out: Counter[str] = Counter()
    try:
        for run in pages(
            client.search_runs, experiment_ids=[experiment], filter_string=query, max_results=RUNS_IN_A_PAGE
        ):
            scored = _scored(run)
            if run.info.status != "FINISHED":
                left_out["not finished"] += 1
            elif scored is None:
                left_out["without parameters, data or scores of a training"] += 1
            else:
                found.append(scored)
    except MlflowException as error:
        if query and error.error_code == "INVALID_PARAMETER_VALUE":
            raise InvalidInput(
                "--filter must be in MLflow's form, such as \"params.`train.steps` = '4500'\": "
                f"{error.message} Received: --filter {query}"
            ) from None
        raise
    return found, left_out


def group(runs: Sequence[ScoredRun], by: str, metric: str) -> tuple[list[Group], Counter[str]]:
    """Groups the runs that differ only in the parameter `by` and the seed; the order of the runs changes nothing.

    Of several runs with the same parameters and seed, only the newest is used.

    Returns:
        The groups, and how many runs are in none, by the reason.

    Raises:
        InvalidInput: no run has the parameter or the score `metric`, or the parameter cannot be compared.
    """
    _require_known(runs, by, metric)
    left_out: Counter[str] = Counter()
    groups: dict[tuple[tuple[str, str], ...], dict[str, dict[int, ScoredRun]]] = {}
    for run in sorted(runs, key=lambda run: (run.started, run.run_id)):
        if by not in run.parameters:
            left_out[f"without the parameter {by}"] += 1
        elif not math.isfinite(run.scores.get(metric, math.nan)):
            left_out[f"without a finite {metric}"] += 1
        else:
            seeds = groups.setdefault(run.terms(by), {}).setdefault(printable(run.parameters[by]), {})
            seed = int(run.parameters[SEED])
            left_out["repeated by a newer run"] += seed in seeds
            seeds[seed] = run
    return [Group(dict(terms), of_values) for terms, of_values in sorted(groups.items())], left_out


def varying(groups: Iterable[Group]) -> list[str]:
    """Returns the names of the terms that are not equal in all groups."""
    values: dict[str, set[str | None]] = {}
    every = [of_group.terms for of_group in groups]
    for name in sorted({name for terms in every for name in terms}):
        values[name] = {terms.get(name) for terms in every}
    return [name for name, found in values.items() if len(found) > 1]


def _scored(run: Any) -> ScoredRun | None:
    """Returns a run as a training with scores; None if it is none."""
    parameters, tags, metrics = dict(run.data.params), run.data.tags, run.data.metrics
    try:
        protocol = Protocol.model_validate_json(tags.get("protocol", ""))
    except ValueError:
        return None
    names = {name.removeprefix(_SCORES): value for name, value in metrics.items() if name.startswith(_SCORES)}
    scores = {name: value for name, value in names.items() if meaning_of(name, protocol.extractor)}
    if not parameters.get(SEED, "").isdecimal() or "data_digest" not in tags or not scores:
        return None
    # The champion of a warm start changes with time, so the version that it was stands for its name.
    if parameters.get("train.warm_start", "none") != "none":
        parameters["train.warm_start"] = tags.get("started_from", parameters["train.warm_start"])
    return ScoredRun(
        run.info.run_id,
        run.info.start_time,
        {name: value for name, value in parameters.items() if not name.startswith(_OF_DATA)},
        tags["data_digest"],
        protocol,
        scores,
    )


def _require_known(runs: Sequence[ScoredRun], by: str, metric: str) -> None:
    if by == SEED or by.startswith(_OF_DATA):
        raise InvalidInput(
            f"--by must name a parameter of the training other than {SEED}: seeds are what is averaged over, and runs "
            f"on different data are not compared. Received: --by {by}"
        )
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.parameters.items():
            values.setdefault(name, set()).add(value)
    if by not in values:
        several = sorted(name for name, found in values.items() if len(found) > 1 and name != SEED)
        raise InvalidInput(
            f"--by must name a parameter of the trainings{nearest(by, values)}. Those with several values: "
            f"{', '.join(several) or 'none'}. Received: --by {by}"
        )
    scores = {name for run in runs for name in run.scores}
    if metric not in scores:
        raise InvalidInput(
            f"--metric must name a score of the trainings: {', '.join(sorted(scores))}. Received: --metric {metric}"
        )

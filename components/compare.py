"""Compares the trainings in MLflow that differ only in one parameter and the seed.

For each value of the parameter: the mean score over the seeds, and its 95 % interval. For each pair of values: the
paired t test over the seeds that both have, at least three. The result is printed, logged to MLflow in the experiment
NAME-comparisons, and written as a page. Runs on different data, or scored under different protocols, are never
compared.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import whole_output
from components.tracking.failures import answered
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from components.tracking.scored_runs import Group
    from gan_core.evaluation.report.comparison_page import ComparisonSection
    from gan_core.evaluation.score_meanings import Meaning

_MOST_NAMED = 10  # of the terms in a message


def main() -> None:
    """Reads the command line, compares, prints and logs."""
    arguments = parser().parse_args()
    from components.tracking.comparison_run import log_comparison
    from components.tracking.scored_runs import group, read_runs
    from components.tracking.server import connect
    from gan_core.evaluation.report.comparison_page import render_comparison

    by, metric = arguments.by, arguments.metric
    with paths.local_paths(arguments) as local:
        with answered("list the runs"):
            client = connect()
            experiment = _experiment(client, arguments.experiment)
            runs, left_out = read_runs(client, experiment.experiment_id, arguments.filter)
        if not runs:
            raise InvalidInput(
                "The experiment must have finished trainings with scores. "
                f"Received: {experiment.name} with {_counted(left_out) or 'no runs'}"
            )
        groups, not_grouped = group(runs, by, metric)
        counts = _counted(left_out + not_grouped)
        compared = [one for one in groups if len(one.runs) > 1]
        if not compared:
            raise InvalidInput("; left out: ".join(filter(None, (_nothing_to_compare(groups, by), counts))))
        remarks = [f"Left out: {counts}."] if counts else []
        if alone := len(groups) - len(compared):
            remarks.append(f"Groups of runs that have only one value of {by} and so are not compared: {alone}.")
        meaning, sections = _sections(compared, metric)
        page = render_comparison(by, metric, meaning, sections, remarks)
        print(_text(by, metric, meaning, sections, remarks))
        if local.output:
            with whole_output(local.output) as file:
                file.write_text(page, encoding="utf-8")
        asked = {"by": by, "metric": metric, "experiment": experiment.name, "filter": arguments.filter}
        used = [run for one in compared for seeds in one.runs.values() for run in seeds.values()]
        with answered("receive the comparison"):
            print(f"\nMLflow: {log_comparison(client, asked, used, sections, page)}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.compare", description=__doc__)
    add = options.add_argument
    add("--by", required=True, metavar="PARAMETER", help="parameter whose values are compared, such as train.loss")
    add("--metric", default="fd_classifier", metavar="SCORE", help="score to compare (default: %(default)s)")
    add("--experiment", metavar="NAME", help="MLflow's experiment; default: that of the trainings")
    add("--filter", default="", help="compare only runs that fit, in MLflow's form: params.`train.steps` = '4500'")
    add("--output", type=paths.output(kinds.COMPARISON), help="output: the page, .html")
    return options


def _experiment(client: Any, name: str | None) -> Any:
    from components.tracking.runs import find_experiment, pages

    if (experiment := find_experiment(client, name)) is None:
        names = sorted(one.name for one in pages(client.search_experiments))
        raise InvalidInput(
            f"--experiment must name an experiment of MLflow: {', '.join(names)}. "
            f"Received: {name or 'none, and the default experiment does not exist'}"
        )
    return experiment


def _sections(groups: Sequence[Group], metric: str) -> tuple[Meaning, list[ComparisonSection]]:
    """Compares the values of each group; its title names the terms in which it differs from the other groups."""
    from components.tracking.scored_runs import varying
    from gan_core.evaluation.report.comparison_page import ComparisonSection
    from gan_core.evaluation.seed_comparison import compare, meaning_of

    named, sections = varying(groups), []
    meaning = next(filter(None, (meaning_of(metric, one.terms["protocol.extractor"]) for one in groups)))
    for one in groups:
        scores = {value: {seed: run.scores[metric] for seed, run in seeds.items()} for value, seeds in one.runs.items()}
        title = ", ".join(f"{name} = {one.terms.get(name, 'none')}" for name in named)
        sections.append(ComparisonSection(title, compare(scores, meaning.better), one.terms))
    return meaning, sections


def _text(by: str, metric: str, meaning: Meaning, sections: Sequence[ComparisonSection], remarks: Sequence[str]) -> str:
    from gan_core.evaluation.comparison_rows import PAIR_COLUMNS, VALUE_COLUMNS, pair_rows, value_rows
    from gan_core.evaluation.score_table import aligned

    parts = [f"{metric} by {by}: {meaning.title}, {meaning.better} is better"]
    for section in sections:
        lines = [section.title] if section.title else []
        lines += aligned([(by, *VALUE_COLUMNS), *value_rows(section.comparison)])
        lines += ["", *aligned([("pair", *PAIR_COLUMNS), *pair_rows(section.comparison)])]
        lines += [f"note: {pair.missing}" for pair in section.comparison.pairs if pair.missing]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *remarks])


def _nothing_to_compare(groups: Sequence[Group], by: str) -> str:
    from components.tracking.scored_runs import varying

    values = sorted({value for one in groups for value in one.runs})
    if len(values) < 2:
        return f"Runs must have at least two values of {by}. Received: {', '.join(values) or 'no such run'}"
    names = varying(groups)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (
        f"Two runs must differ only in {by} and the seed. Received: {', '.join(values)}, whose runs also differ in "
        f"{', '.join(names[:_MOST_NAMED])}{more}"
    )


def _counted(counts: Counter[str]) -> str:
    """Returns `2 runs not finished, 1 run …`; empty if there are none."""
    return ", ".join(f"{count} run{'s' * (count > 1)} {reason}" for reason, count in sorted(counts.items()) if count)


if __name__ == "__main__":
    run(main)

"""Chooses the best of a sweep's generators by the score that decides registration.

The inputs are the outputs of a parallel loop, one per trial. They come in Kubeflow's executor input as `models` and
`evaluations`, in the same order.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components import executor
from components.cli.parameters import read_section
from components.registry.evaluation_record import read_evaluation
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import whole_output
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.evaluation.protocol import Evaluation


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.choose", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its register section as a JSON object")
    options.add_argument(
        "--model", type=paths.output(kinds.GENERATOR), required=True, help="output: folder of the best generator"
    )
    options.add_argument(
        "--scores",
        type=paths.output(kinds.SCORES),
        required=True,
        help="output: the best generator's evaluation, .json",
    )
    executor.add_option(options)
    return options


def best(evaluations: Sequence[Evaluation], collapsed: Sequence[bool], score: str) -> int:
    """Returns the index of the lowest `score` among the generators that did not collapse, or of all if all collapsed.

    Raises:
        InvalidInput: a score is missing or not finite, or two evaluations were made under different protocols.
    """
    values = []
    for position, evaluation in enumerate(evaluations):
        differences = evaluation.protocol.differences(evaluations[0].protocol)
        if differences:
            raise InvalidInput(
                "All trials must be evaluated under the same protocol. Received: trial "
                f"{position + 1}, which differs from trial 1 in {'; '.join(differences)}"
            )
        value = evaluation.scores.get(score)
        if value is None or not math.isfinite(value):
            raise InvalidInput(
                f"Every trial must have a finite score '{score}'. Received: {value} in trial {position + 1}"
            )
        values.append(value)
    return min(range(len(values)), key=lambda position: (collapsed[position], values[position]))


def main() -> None:
    """Copies the best generator and its evaluation to the outputs."""
    arguments = executor.checked(parser().parse_args(), "scores", inputs=("models", "evaluations"))
    from components.registry.gate import with_score
    from gan_core.config import RegisterConfig
    from gan_core.export import read_metadata

    config = read_section(arguments.config, RegisterConfig)
    if arguments.executor_input is None:
        raise InvalidInput("--executor-input is required: it names the trials' outputs. Received: nothing")
    models = arguments.executor_input.input_paths("models")
    records = arguments.executor_input.input_paths("evaluations")
    if len(models) != len(records):
        raise InvalidInput(
            f"Each model needs its evaluation. Received: {len(models)} models and {len(records)} evaluations"
        )
    evaluations = [read_evaluation(record) for record in records]
    config = with_score(config, evaluations[0])
    collapsed = [read_metadata(model).collapsed for model in models]
    position = best(evaluations, collapsed, config.score)
    for trial, evaluation in enumerate(evaluations):
        remarks = ", collapsed" * collapsed[trial] + ", chosen" * (trial == position)
        print(f"trial {trial + 1}: {config.score} {evaluation.scores[config.score]:.6g}{remarks}")
    with paths.local_paths(arguments) as local:
        with whole_output(local.model) as folder:
            shutil.copytree(models[position], folder)
        with whole_output(local.scores) as file:
            shutil.copyfile(records[position], file)
    executor.write_output(arguments.executor_input, {"scores": evaluations[position].scores})


if __name__ == "__main__":
    run(main)

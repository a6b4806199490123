"""Reads Kubeflow's executor input and writes its executor output file.

In a container component's command, Kubeflow replaces `{{$}}` by the executor input (JSON). The input names the executor
output file, which must list the output artifacts with their metadata. The run's page shows the scalars in an artifact's
metadata. kfp.local drops artifacts that the file does not list.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.executor_input import ExecutorInput


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--executor-input`, which only Kubeflow passes."""
    parser.add_argument(
        "--executor-input", metavar="JSON", help="Kubeflow's executor input; its executor output is then written"
    )


def checked(arguments: argparse.Namespace, *outputs: str, inputs: Sequence[str] = ()) -> argparse.Namespace:
    """Returns the arguments with the executor input parsed. Call it before any other work.

    Args:
        arguments: the parsed command line.
        outputs: the output artifacts to which `write_output` will add metadata.
        inputs: the input artifacts that the command reads.

    Raises:
        InvalidInput: the text is not an executor input, or it lacks one of these artifacts.
    """
    if arguments.executor_input is None:
        return arguments
    from components.executor_input import parse

    return argparse.Namespace(**vars(arguments) | {"executor_input": parse(arguments.executor_input, outputs, inputs)})


def write_output(
    executor_input: ExecutorInput | None, metadata: Mapping[str, Mapping[str, float | str]] | None = None
) -> None:
    """Writes the executor output; does nothing without an executor input.

    Args:
        executor_input: the parsed value of `--executor-input`.
        metadata: output artifact → name → value to show on the run's page. Numbers that are not finite are left out,
            since JSON has no NaN.
    """
    if executor_input is None:
        return
    outputs = executor_input.outputs
    artifacts = {name: found.model_dump(exclude_unset=True) for name, found in outputs.artifacts.items()}
    for name, values in (metadata or {}).items():
        shown = {key: value for key, value in values.items() if isinstance(value, str) or math.isfinite(value)}
        artifacts[name]["artifacts"][0].setdefault("metadata", {}).update(shown)
    path = Path(outputs.output_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"artifacts": artifacts}, allow_nan=False), encoding="utf-8")

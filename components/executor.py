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
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan_core.errors import InvalidInput
from gan_core.record import faults

# Folders in which Kubeflow's launcher keeps local copies of objects, by the scheme of their addresses.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class _Artifact(_Part):
    uri: Annotated[str, Field(min_length=1)]
    metadata: dict[str, Any] = {}


class _Artifacts(_Part):
    artifacts: tuple[_Artifact, ...]


class _Inputs(_Part):
    artifacts: dict[str, _Artifacts] = {}


class _Outputs(_Part):
    artifacts: dict[str, _Artifacts] = {}
    output_file: Annotated[str, Field(alias="outputFile", min_length=1)]


class ExecutorInput(_Part):
    """The executor input that Kubeflow passes to a step."""

    inputs: _Inputs = _Inputs()
    outputs: _Outputs

    def input_paths(self, name: str) -> list[Path]:
        """Returns the local paths of the input artifacts `name`, in order, such as the outputs of a parallel loop."""
        return [_local_path(artifact.uri) for artifact in self.inputs.artifacts[name].artifacts]


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
    text = arguments.executor_input
    found = None if text is None else _read(text, outputs, inputs)
    return argparse.Namespace(**vars(arguments) | {"executor_input": found})


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


def _read(text: str, outputs: Sequence[str], inputs: Sequence[str]) -> ExecutorInput:
    try:
        found = ExecutorInput.model_validate_json(text)
        json.dumps(found.model_dump(), allow_nan=False)  # fails now if the output could not be written later
    except (ValidationError, ValueError) as error:
        reason = faults(error)[0] if isinstance(error, ValidationError) else error
        raise InvalidInput(
            f"--executor-input must be the JSON object that Kubeflow passes: {reason}. Received: {text[:500]}"
        ) from None
    for kind, names, part in (("output", outputs, found.outputs), ("input", inputs, found.inputs)):
        if absent := [name for name in names if name not in part.artifacts or not part.artifacts[name].artifacts]:
            raise InvalidInput(
                f"The executor input must have the {kind} artifact '{absent[0]}'. Received: {text[:500]}"
            )
    if Path(found.outputs.output_file).is_dir():
        raise InvalidInput(f"The executor input's outputFile must be a file. Received: {found.outputs.output_file}")
    return found


def _local_path(uri: str) -> Path:
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)

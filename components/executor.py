"""What a step tells Kubeflow besides its outputs: the executor output file.

Kubeflow hands a container component its executor input (JSON) where the command says `{{$}}`. The file named in it
lists the artifacts with their metadata. Scalars in an artifact's metadata are what the run's page shows; kfp.local
drops artifacts that the file does not list.
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

# Where Kubeflow's launcher keeps the local copy of an object store's address.
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
    """What Kubeflow hands to a step."""

    inputs: _Inputs = _Inputs()
    outputs: _Outputs

    def input_paths(self, name: str) -> list[Path]:
        """The local paths of the input artifacts `name`, in order: how a step receives what a parallel loop made."""
        return [_local_path(artifact.uri) for artifact in self.inputs.artifacts[name].artifacts]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--executor-input`, which a person and DVC leave out."""
    parser.add_argument(
        "--executor-input", metavar="JSON", help="Kubeflow's executor input; its executor output is then written"
    )


def checked(arguments: argparse.Namespace, *outputs: str, inputs: Sequence[str] = ()) -> argparse.Namespace:
    """The arguments with the executor input read, before any work.

    Args:
        arguments: the command line's.
        outputs: the output artifacts that `write_output` gives metadata to.
        inputs: the input artifacts that the command reads.

    Raises:
        InvalidInput: it is no executor input, or lacks such an artifact.
    """
    text = arguments.executor_input
    found = None if text is None else _read(text, outputs, inputs)
    return argparse.Namespace(**vars(arguments) | {"executor_input": found})


def write_output(
    executor_input: ExecutorInput | None, metadata: Mapping[str, Mapping[str, float | str]] | None = None
) -> None:
    """Writes the executor output, or nothing without an executor input.

    Args:
        executor_input: the value of `--executor-input`.
        metadata: output artifact → name → value to show on the run's page. JSON has no NaN: numbers that are not
            finite are left out.
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
        json.dumps(found.model_dump(), allow_nan=False)  # what cannot be written in the end is refused now
    except (ValidationError, ValueError) as error:
        raise InvalidInput(
            f"--executor-input must be a JSON object as Kubeflow passes it: {_reason(error)}. Received: {text[:500]}"
        ) from None
    for kind, names, part in (("output", outputs, found.outputs), ("input", inputs, found.inputs)):
        if absent := [name for name in names if name not in part.artifacts or not part.artifacts[name].artifacts]:
            raise InvalidInput(
                f"The executor input must have the {kind} artifact '{absent[0]}'. Received: {text[:500]}"
            )
    if Path(found.outputs.output_file).is_dir():
        raise InvalidInput(f"The executor input's outputFile must be a file. Received: {found.outputs.output_file}")
    return found


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _local_path(uri: str) -> Path:
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)

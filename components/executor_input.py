"""The executor input that Kubeflow passes to a step, a JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


def parse(text: str, outputs: Sequence[str], inputs: Sequence[str]) -> ExecutorInput:
    """Reads the JSON text of an executor input.

    Args:
        text: the JSON text.
        outputs: the output artifacts that it must have.
        inputs: the input artifacts that it must have.

    Raises:
        InvalidInput: the text is not an executor input, or it lacks one of these artifacts.
    """
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

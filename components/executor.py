"""What a step tells Kubeflow besides its outputs: the executor output file.

Kubeflow hands a container component its executor input (JSON) where the command says `{{$}}`. The file named in it
lists the artifacts with their metadata. Scalars in an artifact's metadata are what the run's page shows; kfp.local
drops artifacts that the file does not list.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_core.errors import InvalidInput

# Where Kubeflow's launcher keeps the local copy of an object store's address.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--executor-input`, which a person and DVC leave out."""
    parser.add_argument(
        "--executor-input", metavar="JSON", help="Kubeflow's executor input; its executor output is then written"
    )


def write_output(executor_input: str | None, metadata: Mapping[str, Mapping[str, float | str]] | None = None) -> None:
    """Writes the executor output, or nothing without an executor input.

    Args:
        executor_input: the value of `--executor-input`.
        metadata: output artifact → name → value to show on the run's page. JSON has no NaN: numbers that are not
            finite are left out.

    Raises:
        InvalidInput: `executor_input` is not an executor input, or has no such artifact.
    """
    if executor_input is None:
        return
    outputs = _part(executor_input, "outputs")
    artifacts = outputs.get("artifacts", {})
    for name, values in (metadata or {}).items():
        if name not in artifacts:
            raise InvalidInput(f"The executor input must have the output artifact '{name}'. Received: {executor_input}")
        shown = {key: value for key, value in values.items() if isinstance(value, str) or math.isfinite(value)}
        artifacts[name]["artifacts"][0].setdefault("metadata", {}).update(shown)
    path = Path(outputs["outputFile"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"artifacts": artifacts}, allow_nan=False), encoding="utf-8")


def input_paths(executor_input: str, name: str) -> list[Path]:
    """The local paths of the input artifacts `name`, in order: how a step receives what a parallel loop made.

    Raises:
        InvalidInput: `executor_input` is not an executor input, or has no such artifacts.
    """
    artifacts = _part(executor_input, "inputs").get("artifacts", {}).get(name, {}).get("artifacts", [])
    if not artifacts:
        raise InvalidInput(f"The executor input must have input artifacts '{name}'. Received: {executor_input}")
    return [_local_path(artifact["uri"]) for artifact in artifacts]


def _part(executor_input: str, name: str) -> dict[str, Any]:
    try:
        part = json.loads(executor_input)[name]
    except (json.JSONDecodeError, KeyError, TypeError):
        part = None
    if not isinstance(part, dict):
        raise InvalidInput(
            f"--executor-input must be a JSON object with '{name}', as Kubeflow passes it. Received: {executor_input}"
        )
    return part


def _local_path(uri: str) -> Path:
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)

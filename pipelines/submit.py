"""Submits a run of a compiled file or of a published version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.bucket_address import split_bucket
from gan_core.errors import InvalidInput, TryAgain
from gan_core.raw_data import MAX_CHARACTERS, DvcPointer, require_data, require_source
from pipelines import package, parameters, server
from pipelines.parameters import Values
from pipelines.stored_text import require_storable


@dataclass(frozen=True)
class Data:
    """The raw data of a run, as described in pipelines.training. None keeps the compiled value."""

    pointer: str | None
    remote: str | None


@dataclass(frozen=True)
class Request:
    """A run to start: its compiled file or published version, its names, and its service account."""

    file: Path | None
    version: Any
    experiment: str
    name: str
    description: str
    service_account: str | None


def complete(specification: Values, values: Values) -> Values:
    """Returns all inputs if `values` changes one of them, else an empty dict.

    Kubeflow's page fills the form of a cloned run with the inputs that were sent, or else with the compiled ones.
    """
    return package.inputs(specification) | values if values else {}


def arguments(specification: Values, overrides: Sequence[str], data: Data) -> Values:
    """Returns the inputs that differ from the compiled ones. Kubeflow replaces a dict, so a section is sent completely.

    Raises:
        InvalidInput: an override is wrong, or names a section for which the pipeline has no input; or the run could not
            read the raw data; or Kubeflow cannot store an input.
    """
    compiled = package.sections(specification)
    changed = parameters.override(compiled, overrides)
    if "prepare" in changed:
        changed["prepare"] = parameters.chosen_only(changed["prepare"])
    values = {name: value for name, value in changed.items() if value != compiled[name]}
    given = {"data_pointer": data.pointer, "data_remote": data.remote}
    given_values = {name: value for name, value in given.items() if value is not None}
    _require_data(package.inputs(specification) | changed | given_values)
    require_storable(values | given_values, "An input of a run")
    return values | given_values


def _require_data(inputs: Values) -> None:
    """Checks that a run with these inputs can read its raw data."""
    import yaml

    pointer, remote = (str(inputs.get(name) or "") for name in ("data_pointer", "data_remote"))
    require_data(pointer, remote, yaml.safe_load)
    if "prepare" in inputs:
        require_source(inputs["prepare"]["source"], pointer)


def read_data(pointer: str | None, prefix: str | None, remote: str | None) -> Data:
    """Returns the raw data named on the command line: a local or gs:// .dvc file with its remote, or a gs:// prefix.

    Raises:
        InvalidInput: the file cannot be read, or the options contradict each other.
    """
    if pointer is not None and prefix is not None:
        raise InvalidInput(f"The raw data must be a DVC pointer or a prefix. Received: {pointer} and {prefix}")
    if (pointer is None) != (remote is None):
        raise InvalidInput("--data-pointer and --data-remote must be given together. Received: one of them")
    if prefix is not None and not prefix.startswith("gs://"):
        raise InvalidInput(f"--data-prefix must start with gs://. Received: {prefix}")
    if prefix is not None:
        split_bucket(prefix)
        if prefix.endswith(".dvc"):
            raise InvalidInput(f"--data-prefix must not be a .dvc file; use --data-pointer for one. Received: {prefix}")
    if pointer is None or pointer.startswith("gs://"):
        if pointer is not None and not pointer.endswith(".dvc"):
            raise InvalidInput(f"--data-pointer must end in .dvc; use --data-prefix for a folder. Received: {pointer}")
        return Data(pointer or prefix, remote)
    try:
        with Path(pointer).open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--data-pointer must be a readable .dvc file: {error}. Received: {pointer}") from None
    import yaml

    DvcPointer.parse(text, yaml.safe_load)
    return Data(text, remote)


def submit(client: Any, request: Request, values: Values) -> str:
    """Starts a run, prints the address of its page, and returns its identifier.

    Raises:
        TryAgain: the host's answer does not name the run that it started.
    """
    models, version = client.api_models, request.version
    reference = version and models.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )
    # Not `run_pipeline`: it cannot describe the run.
    run = client.runs.run_service_create_run(
        models.V2beta1Run(
            experiment_id=server.find_experiment(client, request.experiment),
            display_name=request.name,
            description=request.description,
            pipeline_spec=package.stored(request.file) if request.file else None,
            pipeline_version_reference=reference,
            runtime_config=models.V2beta1RuntimeConfig(parameters=values),
            service_account=request.service_account,
        )
    )
    if not run.run_id:
        raise TryAgain(f"The host must name the run that it started. Received: no run_id for {request.name!r}")
    print(f"Run details: {client.runs.api_client.configuration.host}/#/runs/details/{run.run_id}", flush=True)
    return str(run.run_id)


def describe(values: Values) -> str:
    """Returns the inputs in the form of `kfp run submit`, one on each line."""
    return "\n".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )

"""Writes compiled pipelines to files and reads them. Equal inputs give equal files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.staging import whole_file
from gan_core.yaml_limits import MOST_CHARACTERS, require_bounded
from pipelines.parameters import SECTIONS, Values
from pipelines.stored_text import require_storable

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent


def write(pipeline: BaseComponent, defaults: Mapping[str, Any], output: Path) -> None:
    """Compiles `pipeline` to `output`, with `defaults` as the values of its inputs.

    Kubeflow's comment at the top is left out because the order in which it lists the inputs varies.

    Raises:
        InvalidInput: the file cannot be written, or exists and is not a compiled pipeline.
    """
    from kfp import compiler

    _require_replaceable(output)
    try:
        with whole_file(output) as unfinished:
            compiler.Compiler().compile(pipeline, str(unfinished), pipeline_parameters=dict(defaults))
            lines = unfinished.read_text(encoding="utf-8").splitlines(keepends=True)
            unfinished.write_text("".join(line for line in lines if not line.startswith("#")), encoding="utf-8")
    except OSError as error:
        if isinstance(failure_of(error), TryAgain):
            raise
        raise InvalidInput(f"--output must be a place to write to: {error.strerror}. Received: {output}") from None


def _require_replaceable(output: Path) -> None:
    if not os.path.lexists(output) or (output.is_file() and output.stat().st_size == 0):
        return
    try:
        if output.is_file():
            read(output)
            return
    except InvalidInput:
        pass
    raise InvalidInput(f"--output must be absent or a compiled pipeline; nothing else is replaced. Received: {output}")


def read(path: Path) -> Values:
    """Reads the pipeline's specification from a compiled file.

    Raises:
        InvalidInput: `path` is not a compiled pipeline.
    """
    documents = _documents(path)
    return checked(documents[0] if documents else None, f"--file {path}")


def stored(path: Path) -> Values:
    """Reads a compiled file in the form in which Kubeflow stores it: with its platform specification.

    Raises:
        InvalidInput: the file cannot be read.
    """
    specification, *platform = _documents(path)
    return {"pipeline_spec": specification, "platform_spec": platform[0]} if platform else specification


def _documents(path: Path) -> list[Any]:
    import yaml

    try:
        with path.open(encoding="utf-8-sig") as file:
            text = require_bounded(file.read(MOST_CHARACTERS + 1), path)
        return list(yaml.safe_load_all(text))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidInput(f"--file must be a readable YAML file: {error}. Received: {path}") from None


def checked(specification: Any, place: str) -> Values:
    """Returns the specification found at `place` after checking that it is a pipeline's.

    Raises:
        InvalidInput: a part is missing, or Kubeflow cannot store it.
    """
    try:
        str.encode(specification["pipelineInfo"]["name"])
        images(specification)
        given = sections(specification)
        # A sweep has no input `train`: each of its trials has a train section.
        lacking = SECTIONS.keys() - given.keys() - ({"train"} if "trials" in inputs(specification) else set())
        if lacking or not all(isinstance(values, dict) for values in given.values()):
            raise TypeError("its inputs are not the sections of params.yaml")
    except (KeyError, TypeError, AttributeError, IndexError):
        raise InvalidInput(f"A pipeline must be one compiled by `compile`. Received: {place}") from None
    require_storable(specification, "A pipeline")
    values: Values = specification
    return values


def inputs(specification: Values) -> dict[str, Any]:
    """Returns the inputs of a pipeline with their compiled defaults."""
    parameters = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    return {name: parameter.get("defaultValue") for name, parameter in parameters.items()}


def sections(specification: Values) -> dict[str, Values]:
    """Returns the inputs that are sections of params.yaml."""
    return {name: value for name, value in inputs(specification).items() if name in SECTIONS}


def images(specification: Values) -> set[str]:
    """Returns the images that the steps run."""
    return {executor["container"]["image"] for executor in specification["deploymentSpec"]["executors"].values()}

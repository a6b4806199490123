"""The compiled pipeline as a file: written whole, the same for the same input, and read again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.documents import require_modest
from gan_core.errors import InvalidInput
from pipelines.parameters import SECTIONS, Values

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent


def write(pipeline: BaseComponent, defaults: Mapping[str, Any], output: Path) -> None:
    """Compiles `pipeline` to `output`, with `defaults` as the values of its inputs.

    Kubeflow's own comment at the top is left out: it lists the inputs in another order each time.

    Raises:
        InvalidInput: the file cannot be written.
    """
    from kfp import compiler

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
            raw, cleaned = Path(folder) / "raw.yaml", Path(folder) / "cleaned.yaml"
            compiler.Compiler().compile(pipeline, str(raw), pipeline_parameters=dict(defaults))
            lines = raw.read_text(encoding="utf-8").splitlines(keepends=True)
            cleaned.write_text("".join(line for line in lines if not line.startswith("#")), encoding="utf-8")
            os.replace(cleaned, output)
    except OSError as error:
        raise InvalidInput(f"--output must be a place to write to: {error.strerror}. Received: {output}") from None


def read(path: Path) -> Values:
    """Reads the pipeline's specification from a compiled file.

    Raises:
        InvalidInput: `path` is not a compiled pipeline.
    """
    import yaml

    try:
        documents = list(yaml.safe_load_all(require_modest(path.read_text(encoding="utf-8"), path)))
        specification: Values = documents[0]
        specification["pipelineInfo"]["name"], specification["root"], specification["deploymentSpec"]["executors"]
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidInput(f"--file must be a readable YAML file: {error}. Received: {path}") from None
    except (IndexError, KeyError, TypeError):
        raise InvalidInput(f"--file must be a pipeline compiled by `compile`. Received: {path}") from None
    return specification


def inputs(specification: Values) -> dict[str, Any]:
    """The inputs of a pipeline and their compiled defaults."""
    parameters = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    return {name: parameter.get("defaultValue") for name, parameter in parameters.items()}


def sections(specification: Values) -> dict[str, Values]:
    """Those inputs that are sections of params.yaml."""
    return {name: value for name, value in inputs(specification).items() if name in SECTIONS}


def images(specification: Values) -> set[str]:
    """The images that its steps run."""
    return {executor["container"]["image"] for executor in specification["deploymentSpec"]["executors"].values()}

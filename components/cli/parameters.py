"""Reads one section of the parameters from params.yaml, or from the JSON object that Kubeflow passes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from components.storage.paths import input_path, local_paths
from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from gan_core.config import Section

SectionType = TypeVar("SectionType", bound="Section")


def read_section(argument: str, section: type[SectionType]) -> SectionType:
    """Reads one section of the parameters.

    Args:
        argument: the value of `--config`: the path or gs:// address of a params.yaml file that has the section, or that
            section itself as a JSON object, as Kubeflow passes it.
        section: the section's type.

    Raises:
        InvalidInput: the file, the JSON or a value is wrong.
    """
    if argument.lstrip().startswith("{"):
        try:
            values = json.loads(argument)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(
                f"--config must be a YAML file or a JSON object: {error}. Received: {argument[:500]}"
            ) from None
    else:
        with local_paths(argparse.Namespace(config=input_path(argument))) as local:
            values = _section_of_file(local.config, section.section)
    return section.parse(values)


def _section_of_file(path: Path, name: str) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # YAML 1.2, without duplicate keys, as DVC reads it.
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidInput(
            f"--config must be a readable YAML file or a JSON object: {error.strerror}. Received: {path}"
        ) from None
    except (ValueError, RecursionError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"--config must be a readable YAML file: {reason}. Received: {path}") from None
    if not isinstance(document, dict) or not isinstance(document.get(name), dict):
        raise InvalidInput(f"--config must have a section '{name}' of parameters. Received: {path}")
    return document[name]

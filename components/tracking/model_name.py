"""The name under which generators are registered: one for each data set and shape, unless the parameters set one."""

from __future__ import annotations

import argparse
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.parameters import read_section
from components.storage import paths

if TYPE_CHECKING:
    from gan_core.data.prepared import PreparedDataset
    from gan_core.generator import GeneratorMetadata

AUTO = "auto"
_LONGEST = 100  # characters of the source's name that are kept


def registered_name(configured: str, source: str, shape: Sequence[int], *, paired: bool) -> str:
    """Returns the model's name in the registry: `register.model_name`, or for `auto` a name such as `cats-64x64x3`.

    A source has the same name before and after images are added, and locally, in a bucket and under DVC. Generators of
    different shapes never compete, and image-to-image generators never compete with others.

    Args:
        configured: the value of `register.model_name`.
        source: the value of `prepare.source`.
        shape: height, width, channels.
        paired: whether the generator maps an input image to an image.
    """
    if configured != AUTO:
        return configured
    size = "x".join(str(extent) for extent in shape)
    return f"{source_name(source)}-{size}{'-paired' * paired}"


def model_of(configured: str, generator: GeneratorMetadata) -> str:
    """Returns the name under which a generator is registered."""
    return registered_name(configured, generator.dataset_source, generator.shape, paired=generator.paired)


def champion_address(name: str) -> str:
    """Returns MLflow's address of a registered model's champion."""
    return f"models:/{name}@champion"


def name_in_address(text: str) -> str | None:
    """Returns the model's name in an address of its champion; None for any other text."""
    match = re.fullmatch(r"models:/([^/@]+)@champion", text)
    return match and match[1]


def name_for_data(configured: str, dataset: PreparedDataset) -> str:
    """Returns the name under which generators that are trained on a prepared data set are registered."""
    manifest = dataset.manifest
    return registered_name(configured, manifest.source, manifest.shape, paired=dataset.split("train").paired)


def add_options(options: argparse.ArgumentParser) -> None:
    """Adds the options from which `chosen_name` takes the name of a registered model."""
    options.add_argument("--name", help="name of the registered model; default: the one that register.model_name gives")
    options.add_argument(
        "--config", default="params.yaml", help="params.yaml, or its register section as a JSON object"
    )
    options.add_argument(
        "--model",
        type=paths.input_path,
        default=Path("models/generator"),
        help="generator whose data gives the model's name if register.model_name is auto",
    )


def chosen_name(arguments: argparse.Namespace) -> str:
    """Returns the name of the registered model that the options of `add_options` choose.

    Raises:
        InvalidInput: the configuration cannot be read, or there is no generator.
    """
    from gan_core.config import RegisterConfig
    from gan_core.export import read_metadata

    if arguments.name:
        return str(arguments.name)
    configured = read_section(arguments.config, RegisterConfig).model_name
    return configured if configured != AUTO else model_of(configured, read_metadata(arguments.model))


def source_name(source: str) -> str:
    """Returns the last part of a source's path or address, in ASCII letters, digits, `_`, `.` and `-`.

    A part that begins with `*`, such as `*.tar`, does not count. Any other characters become `-`. A name that is long
    or has characters beyond ASCII also gets eight digits of its SHA-256, so that different names stay different.
    """
    if source.startswith("gs://"):
        source = source.partition("#")[0]
    parts = [part for part in source.split("/") if part not in ("", ".", "..") and not part.startswith("*")]
    name = unicodedata.normalize("NFC", parts[-1].removesuffix(".dvc") if parts else "")
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:_LONGEST].strip("-.")
    if not name.isascii() or len(name) > _LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{readable}-{digest}" if readable else digest
    return readable or "data"

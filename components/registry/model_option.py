"""The option `--model` of commands that use a generator: its folder, or the address of a registered champion."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from components.storage import paths


def add_model(options: argparse.ArgumentParser) -> None:
    """Adds `--model`, whose value `generator_folder` opens."""
    options.add_argument(
        "--model",
        type=lambda text: text if text.startswith("models:/") else paths.input_path(text),
        default=Path("models/generator"),
        help="generator's folder, or models:/NAME@champion",
    )


@contextlib.contextmanager
def generator_folder(model: str | Path) -> Iterator[Path]:
    """Yields the folder of the generator that `--model` names, which exists while the body runs.

    Raises:
        InvalidInput, TryAgain: as `champion_folder`, for an address.
    """
    if isinstance(model, Path):
        yield model
        return
    from components.registry.champion import champion_folder

    with champion_folder(model) as folder:
        yield folder

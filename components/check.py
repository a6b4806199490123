"""Checks, before anything is trained, what evaluation and registration need: of the data, and of each other.

The train command does the same by itself when it is given the whole params.yaml.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from components import storage
from components.command import cache_folder, read_section, run

if TYPE_CHECKING:
    from gan_core.data.prepared import PreparedDataset


def main() -> None:
    """Reads the command line and checks."""
    from gan_core.data.prepared import PreparedDataset

    arguments = parser().parse_args()
    with storage.local_paths(arguments) as local:
        check(local.config, local.register, PreparedDataset(local.dataset), local.cache)
    print("the parameters and the data go together")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.check", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its evaluate section as a JSON object")
    options.add_argument("--register", required=True, help="params.yaml, or its register section as a JSON object")
    options.add_argument(
        "--dataset", required=True, type=storage.input_path, help="folder written by components.prepare"
    )
    options.add_argument(
        "--cache", type=Path, default=cache_folder(), help="folder for what need not be downloaded twice"
    )
    return options


def check(config: str, register: str, dataset: PreparedDataset, cache: Path) -> None:
    """Checks the evaluate section in `config` and the register section in `register` with each other and the data.

    Raises:
        InvalidInput: they do not go together, or the Inception weights cannot be read.
        TryAgain: the Inception weights cannot be downloaded.
    """
    from gan_core.config import EvaluateConfig, RegisterConfig
    from gan_core.evaluation.requirements import check_data, check_sections

    evaluate = read_section(config, "evaluate", EvaluateConfig)
    registration = read_section(register, "register", RegisterConfig)
    check_sections(evaluate, registration)
    check_data(evaluate, registration, dataset)
    if evaluate.extractor == "inception":
        from gan_core.evaluation.weights import load_weights

        load_weights(evaluate.inception_weights, cache)


if __name__ == "__main__":
    run(main)

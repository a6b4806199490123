"""Checks before training that the data, the evaluate section and the register section fit together.

It also writes the address of the champion that the generator will be compared with. So the later steps do not read the
register section, and a changed rule of registration does not repeat the training.

The train command runs the same checks if it is given the whole params.yaml.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.parameters import read_section
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.cache_folder import cache_folder
from components.storage.outputs import whole_output
from components.tracking.model_name import champion_address, name_for_data
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.config import RegisterConfig
    from gan_core.data.prepared import PreparedDataset


def main() -> None:
    """Reads the command line and checks."""
    arguments = parser().parse_args()
    from gan_core.data.prepared import PreparedDataset

    with paths.local_paths(arguments) as local:
        dataset = PreparedDataset(local.dataset)
        registration = check(local.config, local.register, dataset, local.cache)
        if local.champion:
            with whole_output(local.champion) as file:
                file.write_text(champion_address(name_for_data(registration.model_name, dataset)), encoding="utf-8")
    print(f"{arguments.trial}: the parameters fit the data" if arguments.trial else "the parameters fit the data")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.check", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its evaluate section as a JSON object")
    options.add_argument("--register", required=True, help="params.yaml, or its register section as a JSON object")
    options.add_argument("--dataset", required=True, type=paths.input_path, help="folder written by components.prepare")
    options.add_argument(
        "--champion", type=paths.output(kinds.CHAMPION), help="output: the address of the champion in the registry"
    )
    options.add_argument("--trial", help="what is special about this trial of a sweep, for the log")
    options.add_argument("--cache", type=paths.local_path, default=cache_folder(), help="folder for cached results")
    return options


def check(config: str, register: str, dataset: PreparedDataset, cache: Path) -> RegisterConfig:
    """Checks that the evaluate section in `config`, the register section in `register` and the data agree.

    Returns:
        The register section.

    Raises:
        InvalidInput: they do not agree, or the weights of Inception, DINOv2 or VGGish cannot be read.
        TryAgain: these weights cannot be downloaded.
    """
    from gan_core.config import EvaluateConfig, RegisterConfig
    from gan_core.evaluation.extractors.weights import DINOV2, INCEPTION, VGGISH, load_weights
    from gan_core.evaluation.requirements import check_data

    evaluate = read_section(config, EvaluateConfig)
    registration = read_section(register, RegisterConfig)
    check_data(evaluate, registration, dataset)
    if evaluate.extractor == "inception":
        load_weights(INCEPTION, evaluate.inception_weights, cache)
    if evaluate.extractor == "dinov2":
        load_weights(DINOV2, evaluate.dinov2_weights, cache)
    if evaluate.extractor == "vggish":
        load_weights(VGGISH, evaluate.vggish_weights, cache)
    return registration


if __name__ == "__main__":
    run(main)

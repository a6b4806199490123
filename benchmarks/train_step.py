"""Compares the training step with its peers and with the whole loop: `python -m benchmarks.train_step --dataset …`.

Every round measures each side once. The table shows medians over the rounds, in images per second.

- bare step: the network of params.yaml on batches in memory. It includes the averaged generator and the sums of the
  metrics, and makes as many steps in one call as the training.
- whole loop: components.train with the settings of params.yaml, including input, rows, sample grids, scores,
  checkpoints and MLflow (a new sqlite file). Each round is a training from scratch. A training and the bare steps of
  another GAN take turns of some seconds, because a machine's rate drifts by more than the loop costs. The training's
  other threads either finish before the bare steps begin (checkpoints) or slow both sides alike (MLflow's records).
- tutorial's network: this project's step on the network of tutorial_dcgan.py, batch 64.
- PyTorch on both networks (torch_step.py; needs `make test-peers` once).
- sampling: an exported generator, including drawing latents and conversion to uint8, and its network alone.

The share of the machine's matrix products is a side's nominal operations per second (`torch_step.operations_per_image`)
divided by those of a product of two 4096×4096 float32 matrices, measured in the same round. PyTorch counts the
operations, so without the peers there is no share.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.sampling import Sampling
from benchmarks.step_sides import (
    PEERS_PYTHON,
    TorchStep,
    TutorialStep,
    product_operations_per_second,
    torch_network,
)
from benchmarks.whole_loop import bare_step_and_loop, new_gan
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.training.build import fitted
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.exit_codes import run

Rates = dict[str, list[float]]
_PRODUCTS, _BARE, _LOOP, _TORCH = "matrix products", "bare step", "whole loop", "PyTorch"
_TUTORIAL, _TORCH_TUTORIAL = "tutorial's network", "PyTorch, tutorial's network"
_EXPORTED, _NETWORK = "sampling, exported generator", "sampling, network alone"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="params.yaml")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="steps of a round (default: those of the train section)")
    parser.add_argument("--tutorial-steps", type=int, default=150, help="the same, on the tutorial's network")
    parser.add_argument("--samples", type=int, default=20_000, help="images drawn in a round")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    dataset = PreparedDataset(arguments.dataset)
    config, _, _ = fitted(read_section(arguments.config, TrainConfig), dataset)
    config = config.model_copy(update={"steps": arguments.steps or config.steps})
    configure_tensorflow()

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        sides, operations = _sides(config, dataset, Path(folder), arguments)
        rates: Rates = defaultdict(list)
        for number in range(arguments.rounds):
            for measure in sides:
                for name, rate in measure(number).items():
                    rates[name].append(rate)
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.4g}" for name, found in rates.items()))
    print(machine())
    shape = "×".join(map(str, dataset.manifest.shape))
    print(f"{config.network} on {shape}, batch {config.batch_size}, {config.steps} steps a round")
    _print(rates, operations())


def _sides(
    config: TrainConfig, dataset: PreparedDataset, folder: Path, arguments: argparse.Namespace
) -> tuple[list[Callable[[int], dict[str, float]]], Callable[[], dict[str, int]]]:
    """Returns the measurements of a round, functions from its number to rates by name, and the operations by name."""
    gan = new_gan(config, dataset)
    tutorial, sampling = TutorialStep(config), Sampling(gan)
    sides: list[Callable[[int], dict[str, float]]] = [
        lambda _: {_PRODUCTS: product_operations_per_second()},
        lambda number: dict(
            zip((_BARE, _LOOP), bare_step_and_loop(config, dataset, folder / str(number)), strict=True)
        ),
        lambda _: {_TUTORIAL: tutorial.images_per_second(arguments.tutorial_steps)},
        lambda _: {_EXPORTED: sampling.exported(arguments.samples)},
        lambda _: {_NETWORK: sampling.bare(arguments.samples)},
    ]
    if not PEERS_PYTHON.exists():
        print("PyTorch: skipped, the peers' environment is missing (make test-peers)")
        return sides, dict
    torch_tutorial = TorchStep(None, tutorial.learned)
    sides.append(lambda _: {_TORCH_TUTORIAL: torch_tutorial.images_per_second(arguments.tutorial_steps)})
    measured = {_TUTORIAL: torch_tutorial, _TORCH_TUTORIAL: torch_tutorial}
    if network := torch_network(config, dataset.manifest.shape, gan.classes):
        learned = [
            sum(int(variable.numpy().size) for variable in part.trainable_variables)
            for part in (gan.generator, gan.discriminator)
        ]
        torch = TorchStep(network, learned)
        sides.append(lambda _: {_TORCH: torch.images_per_second(config.steps)})
        measured |= dict.fromkeys((_BARE, _LOOP, _TORCH), torch)
    else:
        print("PyTorch on the network of params.yaml: skipped, torch_step.py can build only the plain dcgan")
    return sides, lambda: {name: step.operations_per_image for name, step in measured.items()}


def _print(rates: Rates, operations: dict[str, int]) -> None:
    products = rates[_PRODUCTS]
    print("| | images per second, median | lowest | highest | share of the matrix products |\n|---|---|---|---|---|")
    for name, values in rates.items():
        if name == _PRODUCTS:
            continue
        share = ""
        if name in operations:
            shares = [rate * operations[name] / product for rate, product in zip(values, products, strict=True)]
            share = f"{statistics.median(shares):.1%}"
        print(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} | {max(values):.0f} | {share} |")
    print(f"\nMatrix products: {statistics.median(products) / 1e9:.0f} billion operations a second.")
    print(f"The loop around the step costs {1 - _ratio(rates, _LOOP, _BARE):.1%}.")
    print(
        f"The exported generator draws {_ratio(rates, _EXPORTED, _NETWORK):.2f} times the images of its bare network."
    )
    for ours, theirs in ((_BARE, _TORCH), (_TUTORIAL, _TORCH_TUTORIAL)):
        if theirs in rates:
            print(f"{ours}: {_ratio(rates, ours, theirs):.2f} times the images per second of {theirs}.")


def _ratio(rates: Rates, above: str, below: str) -> float:
    """Returns the median over the rounds of one side's rate divided by another's."""
    return statistics.median(a / b for a, b in zip(rates[above], rates[below], strict=True))


if __name__ == "__main__":
    run(main)

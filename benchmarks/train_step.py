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
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import machine
from benchmarks.step_sides import (
    PEERS_PYTHON,
    Sampling,
    TorchStep,
    TutorialStep,
    product_operations_per_second,
    torch_network,
)
from components.cli.parameters import read_section
from components.cli.progress import progress
from components.cli.tensorflow_settings import configure_tensorflow
from components.tracking.tracker import TrainingTracker
from components.training.hooks import Hooks
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.exit_codes import run
from gan_core.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    from gan_core.training.state import Gan

Rates = dict[str, list[float]]
_SECTION = 100  # training steps in a section, followed by about as many bare steps
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
    config = read_section(arguments.config, TrainConfig)
    config = config.model_copy(update={"steps": arguments.steps or config.steps})
    dataset = PreparedDataset(arguments.dataset)
    config = config.resolved(labelled=dataset.split("train").labelled)
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
    gan = _gan(config, dataset)
    tutorial, sampling = TutorialStep(config), Sampling(gan)
    sides: list[Callable[[int], dict[str, float]]] = [
        lambda _: {_PRODUCTS: product_operations_per_second()},
        lambda number: _loop_and_bare_step(config, dataset, folder / str(number)),
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
    if network := torch_network(config, dataset.manifest.shape, _classes(config, dataset)):
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


def _gan(config: TrainConfig, dataset: PreparedDataset) -> Gan:
    from gan_core.training.state import Gan

    return Gan(config, dataset.manifest.shape, _classes(config, dataset))


def _classes(config: TrainConfig, dataset: PreparedDataset) -> int:
    return len(dataset.manifest.classes) if config.conditional == "on" else 0


def _loop_and_bare_step(config: TrainConfig, dataset: PreparedDataset, folder: Path) -> dict[str, float]:
    """Returns images per second of the command's own loop, from its first step to its last hook, and of bare steps.

    The bare steps train a second GAN on the first batches of the training, held in memory. Compilation of both is
    excluded, and so is the training of the classifier for the scores.
    """
    from gan_core.evaluation.quick_scores import scorer
    from gan_core.generator import Generator
    from gan_core.training.batches import RealBatches
    from gan_core.training.describe import describe_generator
    from gan_core.training.loop import Training
    from gan_core.training.step import TrainStep

    real_batches = RealBatches(dataset.split("train"), config)
    gan, bare = _gan(config, dataset), _gan(config, dataset)
    bare_step = TrainStep(bare)
    images_of_a_section = _SECTION * gan.images_per_step
    images_at_once = bare_step.steps_per_execution * gan.images_per_step
    in_memory = [
        real_batches.batches(images_seen, bare_step.steps_per_execution)
        for images_seen in range(0, images_of_a_section, images_at_once)
    ]
    bare_step(in_memory[0])
    bare.metrics.take_totals()

    class WithBareSteps(Hooks):
        """Makes bare steps after every section of the training."""

        started = spent = 0.0
        counted_from = bare_images = 0

        def on_step(self, images_seen: int) -> None:
            if not self.started:
                self.started, self.counted_from = time.perf_counter(), images_seen
            super().on_step(images_seen)
            if images_seen % images_of_a_section == 0:
                gan.metrics.failure()  # waits for the step
                checkpoints.wait()
                before = time.perf_counter()
                for batches in in_memory:
                    bare_step(batches)
                bare.metrics.take_totals()
                self.spent += time.perf_counter() - before
                self.bare_images += len(in_memory) * images_at_once

    with Checkpoints(folder, config.checkpoints_kept) as checkpoints:
        generator = Generator(gan.averaged_generator, describe_generator(gan, dataset))
        score = scorer(generator, dataset, config.score_samples, folder.parent / "cache")
        training = Training(gan, real_batches, checkpoints, score if config.score_every_images else None)
        with (
            progress(training.target, "images", "train") as bar,
            TrainingTracker(
                folder / "tracking", parameters=config.model_dump(), tags={}, dataset=dataset.manifest
            ) as tracker,
        ):
            hooks = WithBareSteps(training, bar, tracker, lambda: False, dataset)
            training.run(hooks)
            took = time.perf_counter() - hooks.started - hooks.spent
    return {
        _BARE: hooks.bare_images / hooks.spent,
        _LOOP: (training.target - hooks.counted_from) / took,
    }


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

"""What surrounds the training step costs: the bare step and the whole command's loop side by side, alternating.

`python -m benchmarks.train_step --dataset data/prepared` prints medians over the rounds. The loop has everything that
components.train has at the settings of params.yaml: input, rows, sample grids, checkpoints, MLflow (a fresh sqlite
file). Each of its rounds is a training from nothing, so its first grid and last
checkpoint weigh more than in a long one.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from components.command import configure_tensorflow, read_section
from components.progress import progress
from components.tracking import TrainingTracker
from components.training_hooks import Hooks
from gan_core.checkpoints import Checkpoints
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="params.yaml")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500, help="steps of a round")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    config = read_section(arguments.config, "train", TrainConfig).model_copy(update={"steps": arguments.steps})
    dataset = PreparedDataset(arguments.dataset)
    configure_tensorflow()

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        rates: dict[str, list[float]] = {"bare step": [], "whole loop": []}
        for number in range(arguments.rounds):
            rates["bare step"].append(_bare_step(config, dataset))
            rates["whole loop"].append(_whole_loop(config, dataset, Path(folder) / str(number)))
            print(f"round {number + 1}: " + ", ".join(f"{name} {rate[-1]:.0f}" for name, rate in rates.items()))
    _print(rates, config, dataset)


def _bare_step(config: TrainConfig, dataset: PreparedDataset) -> float:
    """Images per second of the step on one batch in memory."""
    from gan_core.batches import Feed
    from gan_core.gan import Gan
    from gan_core.step import Batch

    gan = Gan(config, dataset.manifest.shape, xla=False, mixed_precision=False)
    batch = Batch(*Feed(dataset.split("train"), config).batch(0))
    gan.step(batch)
    started = time.perf_counter()
    for _ in range(config.steps - 1):
        gan.step(batch)
    gan.take_totals()
    return (config.steps - 1) * gan.images_per_step / (time.perf_counter() - started)


def _whole_loop(config: TrainConfig, dataset: PreparedDataset, folder: Path) -> float:
    """Images per second of the command's own loop, from its first step to its last hook."""
    from gan_core.batches import Feed
    from gan_core.gan import Gan
    from gan_core.training import Training

    class FromTheFirstStep(Hooks):
        """Leaves out what compiling the step costs."""

        started = 0.0

        def on_step(self, images_seen: int) -> None:
            self.started = self.started or time.perf_counter()
            super().on_step(images_seen)

    with Checkpoints(folder, config.checkpoints_kept) as checkpoints:
        gan = Gan(config, dataset.manifest.shape, xla=False, mixed_precision=False)
        training = Training(gan, Feed(dataset.split("train"), config), checkpoints)
        with (
            progress(training.target, "images", "train") as bar,
            TrainingTracker(
                folder / "tracking", parameters=config.model_dump(), tags={}, dataset=dataset.manifest
            ) as tracker,
        ):
            hooks = FromTheFirstStep(training, bar, tracker, lambda: False)
            training.run(hooks)
            return (config.steps - 1) * gan.images_per_step / (time.perf_counter() - hooks.started)


def _print(rates: dict[str, list[float]], config: TrainConfig, dataset: PreparedDataset) -> None:
    import keras
    import tensorflow as tf

    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(":")[2].strip() for line in described if line.startswith("model name")), "")
    shape = "×".join(map(str, dataset.manifest.shape))
    print(
        f"{processor}, {os.cpu_count()} cores; Python {platform.python_version()}, TensorFlow {tf.__version__}, ",
        end="",
    )
    print(f"Keras {keras.__version__}, TF_ENABLE_ONEDNN_OPTS={os.environ['TF_ENABLE_ONEDNN_OPTS']}")
    print(f"{config.network} on {shape}, batch {config.batch_size}, {config.steps} steps a round")
    print("| | images per second, median | lowest | highest |\n|---|---|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} | {max(values):.0f} |")
    costs = [1 - whole / bare for bare, whole in zip(*rates.values(), strict=True)]
    print(f"What surrounds the step costs {statistics.median(costs):.1%} (median over the rounds).")


if __name__ == "__main__":
    main()

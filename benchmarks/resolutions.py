"""Training time of the default recipe at each resolution: `python -m benchmarks.resolutions`.

Measures steps of the network in params.yaml on random images in memory, without labels and without the rest of the
training loop. The minutes are for the number of steps in params.yaml.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.machine import machine
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.config import TrainConfig
from gan_core.exit_codes import run
from gan_core.recipes import IMAGES, with_recipe

SHAPES = ((28, 28, 1), (32, 32, 3), (64, 64, 3), (128, 128, 3), (256, 256, 3))


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="params.yaml")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds measured at each resolution, at least")
    arguments = parser.parse_args()
    config = with_recipe(read_section(arguments.config, TrainConfig), IMAGES).resolved(labelled=False)
    configure_tensorflow()
    print(machine())
    print("| image | images a second | minutes for the default steps |\n|---|---|---|")
    for shape in SHAPES:
        rate = images_per_second(config, shape, arguments.seconds)
        minutes = config.steps * config.batch_size * config.discriminator_steps / rate / 60
        print(f"| {' × '.join(map(str, shape))} | {rate:,.0f} | {minutes:,.1f} |", flush=True)


def images_per_second(config: TrainConfig, shape: Sequence[int], seconds: float) -> float:
    """Returns the real images per second of the training step after compilation."""
    from gan_core.training.draws import Batch
    from gan_core.training.state import Gan
    from gan_core.training.step import TrainStep

    height, width, channels = shape
    gan = Gan(config, (height, width, channels))
    step = TrainStep(gan)
    batches = (step.steps_per_execution, config.discriminator_steps, config.batch_size)
    images = np.random.default_rng(0).integers(0, 256, (*batches, *shape), dtype=np.uint8)
    batch = Batch(images, None, None)
    step(batch)
    gan.metrics.take_totals()
    started, before = time.perf_counter(), gan.images_seen
    while time.perf_counter() - started < seconds:
        step(batch)
        gan.metrics.take_totals()  # waits for the step
    return (gan.images_seen - before) / (time.perf_counter() - started)


if __name__ == "__main__":
    run(main)

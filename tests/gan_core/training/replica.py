"""One process of a training on several devices: `python replica.py KIND DEVICES CHECKPOINTS STEPS PARAMETERS`.

Trains on the blobs, resumes from a checkpoint if there is one, and prints the metrics of each step as JSON.
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (3, 2)]

import numpy as np
import tensorflow as tf
from datasets import blobs
from recipes import small_training

from gan_core.training.checkpoints import Checkpoints
from gan_core.training.distribution import Distribution
from gan_core.training.draws import Batch
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

SHAPE = (16, 16, 1)


def main(kind: str, devices: int, folder: Path, steps: int, changes: dict) -> None:
    if devices > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    distribution = Distribution(kind)
    config = small_training(**changes)
    classes = 3 if config.conditional == "on" else 0
    gan = Gan(config, SHAPE, classes, distribution=distribution)
    step = TrainStep(gan)
    path = folder if distribution.chief else folder / "another"
    with Checkpoints(path, 1) as checkpoints:
        state = distribution.from_chief(checkpoints.newest(at_most=10**9) if distribution.chief else None)
        if state is not None:
            gan.restore(state)
        metrics = []
        while gan.images_seen < steps * gan.images_per_step:
            images = blobs(config.batch_size, seed=gan.images_seen).reshape(1, 1, config.batch_size, *SHAPE)
            labels = (np.arange(config.batch_size) % 3).astype(np.int32)[None, None] if classes else None
            step(Batch(images, labels))
            metrics.append(gan.metrics.take_totals())
        if distribution.chief:
            checkpoints.write(gan.images_seen, gan.state())
            checkpoints.wait()
    sys.stdout.write(json.dumps({"replicas": distribution.replicas, "figures": metrics}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5]))

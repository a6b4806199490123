"""The measurements that train_step.py compares: other networks, PyTorch, matrix products."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.config import TrainConfig
from gan_core.networks.shapes import base, halvings, widths

PEERS_PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
_TUTORIAL_BATCH = 64
_PRODUCT_SIDE = 4096
_PRODUCTS = 4


class TutorialStep:
    """This project's step on the tutorial's network: gan_core's Step, Adam and layers, without an averaged generator.

    Attributes:
        learned: number of trainable parameters of the generator and of the discriminator.
    """

    def __init__(self, config: TrainConfig) -> None:
        """Builds the tutorial's network with the training settings of `config`."""
        import keras
        import tensorflow as tf

        from benchmarks import tutorial_dcgan
        from gan_core.networks.conditioning import ProjectionDiscriminator
        from gan_core.networks.layers import BatchNormalization, FromImageConv2D, ToImageConv2DTranspose
        from gan_core.training.distribution import Distribution
        from gan_core.training.draws import Batch
        from gan_core.training.optimizer import Adam
        from gan_core.training.replica_step import ReplicaStep

        plain = {
            "loss": "non_saturating",
            "conditional": "off",
            "reconstruction": "none",
            "r1_weight": 0.0,
            "r2_weight": 0.0,
            "gradient_penalty_weight": 0.0,
            "augment": (),
            "discriminator_steps": 1,
            "accumulation_steps": 1,
            "schedule": "constant",
            "dropout": 0.0,  # the network contains its own dropout
        }
        own = {
            "batch_size": _TUTORIAL_BATCH,
            "latent_size": tutorial_dcgan.LATENT_SIZE,
            "learning_rate": 0.0002,
            "beta_1": 0.9,
            "beta_2": 0.999,
        }
        generator = tutorial_dcgan.build_generator(BatchNormalization, ToImageConv2DTranspose)
        discriminator = ProjectionDiscriminator(
            tutorial_dcgan.build_features(FromImageConv2D), keras.layers.Dense(1), None, classes=0, dropout=0.0
        )
        optimizers = (Adam(generator, mixed_precision=False), Adam(discriminator, mixed_precision=False))
        compute = ReplicaStep(
            config.model_copy(update=plain | own), generator, discriminator, optimizers, Distribution()
        )
        self.learned = [
            sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)
            for network in (generator, discriminator)
        ]
        self._step = tf.function(
            lambda images, seen: compute(Batch(images), seen, tf.constant(1.0), tf.constant(0.0), (False,)),
            autograph=False,
        )
        self._images = tf.constant(
            np.random.default_rng(0).integers(0, 256, (1, _TUTORIAL_BATCH, 28, 28, 1), dtype=np.uint8)
        )
        self._seen = 0
        self._steps(2)

    def images_per_second(self, steps: int) -> float:
        """Returns the rate over `steps` steps on one batch in memory."""
        started = time.perf_counter()
        self._steps(steps)
        return steps * _TUTORIAL_BATCH / (time.perf_counter() - started)

    def _steps(self, count: int) -> None:
        import tensorflow as tf

        for _ in range(count):
            figures = self._step(self._images, tf.constant(self._seen, tf.int64))
            self._seen += _TUTORIAL_BATCH
        figures.numpy()


class TorchStep:
    """PyTorch's step (torch_step.py) on one network.

    Attributes:
        operations_per_image: nominal operations of a step per image; set by the first measurement.
    """

    def __init__(self, network: dict[str, Any] | None, learned: list[int]) -> None:
        """Takes the result of `torch_network`, or None for the tutorial's network, and the parameters of both parts."""
        self._network, self._learned = network, learned
        self.operations_per_image = 0

    def images_per_second(self, steps: int) -> float:
        """Returns the rate over `steps` steps."""
        script = str(Path(__file__).with_name("torch_step.py"))
        command = [str(PEERS_PYTHON), script, json.dumps(self._network), str(steps)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
        if found["learned"] != self._learned:
            raise AssertionError(f"PyTorch's network has {found['learned']} parameters, this project's {self._learned}")
        self.operations_per_image = found["operations_per_image"]
        rate: float = found["images_per_second"]
        return rate


def torch_network(config: TrainConfig, shape: tuple[int, int, int], classes: int) -> dict[str, Any] | None:
    """Describes a recipe's networks and optimiser for torch_step.py; None if that cannot build them."""
    decided = (config.network, config.depth, config.normalization, config.loss, shape[2])
    plain = decided == ("dcgan", 1, "batch", "non_saturating", 1)
    extras = config.augment or config.penalised or config.reconstruction != "none"
    if not plain or extras or config.discriminator_steps > 1 or config.accumulation_steps > 1:
        return None
    half_life = config.ema_half_life_images
    return {
        "batch_size": config.batch_size,
        "latent_size": config.latent_size,
        "learning_rate": config.learning_rate,
        "betas": (config.beta_1, config.beta_2),
        "average_decay": 0.5 ** (config.batch_size / half_life) if half_life else 0.0,
        "dropout": config.dropout,
        "classes": classes,
        "base": base(shape)[0],
        "generator_channels": widths(halvings(shape) - 1, config.generator_width, config.growth)[::-1],
        "discriminator_channels": widths(halvings(shape) - 1, config.discriminator_width, config.growth),
    }


def product_operations_per_second() -> float:
    """Returns this machine's rate for products of two large float32 matrices: the faster of TensorFlow and NumPy."""
    import tensorflow as tf

    matrix = np.random.default_rng(0).standard_normal((_PRODUCT_SIDE, _PRODUCT_SIDE), dtype=np.float32)
    tensor = tf.constant(matrix)
    rates = []
    for multiply in (lambda: np.matmul(matrix, matrix), lambda: tf.matmul(tensor, tensor).numpy()):
        multiply()
        started = time.perf_counter()
        for _ in range(_PRODUCTS):
            multiply()
        rates.append(_PRODUCTS * 2 * _PRODUCT_SIDE**3 / (time.perf_counter() - started))
    return max(rates)

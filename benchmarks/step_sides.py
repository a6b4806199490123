"""What train_step.py compares with the bare step: other networks, PyTorch, matrix products, sampling."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.described_network import TUTORIAL, DescribedNetwork
from gan_core.config import TrainConfig
from gan_core.export import GeneratorMetadata, draw_latents, load_generator, save_generator

if TYPE_CHECKING:
    from gan_core.training.state import Gan

PEERS_PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
_PRODUCT_SIDE = 4096
_PRODUCTS = 4
_SAMPLING_BATCH = 256


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
        from gan_core.training.objective import Batch, Step
        from gan_core.training.optimizer import Adam

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
            "dropout": 0.0,  # the network has its own dropout
        }
        own = TUTORIAL.model_dump(include={"batch_size", "latent_size", "learning_rate", "beta_1", "beta_2"})
        generator = tutorial_dcgan.build_generator(BatchNormalization, ToImageConv2DTranspose)
        discriminator = ProjectionDiscriminator(
            tutorial_dcgan.build_features(FromImageConv2D), keras.layers.Dense(1), None, classes=0, dropout=0.0
        )
        optimizers = (Adam(generator, mixed_precision=False), Adam(discriminator, mixed_precision=False))
        compute = Step(config.model_copy(update=plain | own), generator, discriminator, optimizers, Distribution())
        self.learned = [
            sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)
            for network in (generator, discriminator)
        ]
        self._step = tf.function(
            lambda images, seen: compute(Batch(images), seen, tf.constant(1.0), tf.constant(0.0), (False,)),
            autograph=False,
        )
        self._images = tf.constant(np.random.default_rng(0).integers(0, 256, (1, 64, 28, 28, 1), dtype=np.uint8))
        self._seen = 0
        self._steps(2)

    def images_per_second(self, steps: int) -> float:
        """Returns the rate over `steps` steps on one batch in memory."""
        started = time.perf_counter()
        self._steps(steps)
        return steps * TUTORIAL.batch_size / (time.perf_counter() - started)

    def _steps(self, count: int) -> None:
        import tensorflow as tf

        for _ in range(count):
            figures = self._step(self._images, tf.constant(self._seen, tf.int64))
            self._seen += TUTORIAL.batch_size
        figures.numpy()


def torch_images_per_second(network: DescribedNetwork, steps: int, learned: list[int]) -> float:
    """Returns PyTorch's rate on `network`, whose two parts must have the numbers of parameters in `learned`."""
    command = [str(PEERS_PYTHON), str(Path(__file__).with_name("torch_step.py")), network.model_dump_json(), str(steps)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    if found["learned"] != learned:
        raise AssertionError(f"PyTorch's network has {found['learned']} learned numbers, this project's {learned}")
    rate: float = found["images_per_second"]
    return rate


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


class Sampling:
    """Draws images from an exported generator, and from its network alone."""

    def __init__(self, gan: Gan) -> None:
        """Exports the averaged generator of `gan`."""
        import tensorflow as tf

        metadata = GeneratorMetadata(
            format=1,
            latent_size=gan.config.latent_size,
            shape=gan.shape,
            classes=tuple(map(str, range(gan.classes))),
            class_shares=(1 / gan.classes,) * gan.classes if gan.classes else (),
            images_seen=0,
            collapsed=False,
            dataset_digest="",
            dataset_source="benchmark",
            parameters={},
            tracking_run_id=None,
            versions={},
        )
        with tempfile.TemporaryDirectory() as folder:
            save_generator(Path(folder) / "generator", gan.averaged_generator, metadata)
            self._exported = load_generator(Path(folder) / "generator")
        latents = tf.constant(draw_latents(_SAMPLING_BATCH, gan.config.latent_size, 0))
        labels = tf.zeros(_SAMPLING_BATCH, tf.int32)
        self._arguments: Any = [latents, labels] if gan.classes else latents
        self._bare = tf.function(lambda arguments: gan.averaged_generator(arguments, training=False))
        self.exported(_SAMPLING_BATCH)
        self.bare(_SAMPLING_BATCH)

    def exported(self, count: int) -> float:
        """Returns images per second as uint8, including the drawing of latents."""
        started = time.perf_counter()
        for _ in self._exported.batches(count, 0, batch_size=_SAMPLING_BATCH):
            pass
        return count / (time.perf_counter() - started)

    def bare(self, count: int) -> float:
        """Returns images per second as float32 from the compiled network, always from the same latents."""
        started = time.perf_counter()
        for _ in range(count // _SAMPLING_BATCH):
            self._bare(self._arguments).numpy()
        return count // _SAMPLING_BATCH * _SAMPLING_BATCH / (time.perf_counter() - started)

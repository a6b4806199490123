"""Trains on a device that the caller names, so that the tests of a GPU also run on a CPU, with smaller networks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from datasets import blobs
from recipes import small_training

from gan_core.config import TrainConfig
from gan_core.data.pairs import input_of
from gan_core.training.batches import RealBatches
from gan_core.training.draws import Batch
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

# The networks, each with another loss. Together they use every kind of layer.
RECIPES: dict[str, dict[str, Any]] = {
    "dcgan": {"conditional": "on"},
    "resnet": {"network": "resnet", "normalization": "spectral", "loss": "hinge"},
    "r3gan": {
        "network": "r3gan",
        "normalization": "none",
        "loss": "relativistic",
        "r1_weight": 0.1,
        "r2_weight": 0.1,
        "augment": ("color", "translation", "cutout"),
        "augment_probability": 0.5,
    },
    "fastgan": {
        "network": "fastgan",
        "loss": "hinge",
        "augment": ("color", "translation", "cutout"),
        "augment_probability": 1.0,
    },
    "unet": {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 100.0},
}
_CLASSES = 3


@dataclass(frozen=True)
class Device:
    """A device, and the size of what the tests train on it.

    Attributes:
        steps: number of steps before and at the end of a long training.
    """

    name: str
    shape: tuple[int, int, int]
    steps: tuple[int, int]
    size: Mapping[str, int] = field(hash=False)

    def config(self, recipe: str, **changes: Any) -> TrainConfig:
        """Returns one of RECIPES in this device's size.

        Adam changes a weight by the learning rate even if its gradient is mere rounding, so the rate is low.
        """
        return small_training(**RECIPES[recipe], **self.size, learning_rate=0.0001, steps_per_execution=1, **changes)


CPU = Device("/CPU:0", (16, 16, 1), (2, 4), {"generator_width": 4, "discriminator_width": 4, "batch_size": 8})
GPU = Device(
    *("/GPU:0", (32, 32, 3), (50, 300)),
    {"generator_width": 32, "discriminator_width": 32, "latent_size": 64, "batch_size": 64},
)


class _Images:
    """Images with classes and inputs, the same on every machine."""

    count = 256

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._images = blobs(self.count, shape[0], shape[2])

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self._images[indices]

    def labels(self, indices: np.ndarray) -> np.ndarray:
        return (indices % _CLASSES).astype(np.int32)

    def inputs(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([input_of(image, "inpainting") for image in self._images[indices]])


class DeviceTraining:
    """A training whose variables and operations are all on the device `name`."""

    def __init__(
        self,
        config: TrainConfig,
        shape: tuple[int, int, int],
        name: str,
        *,
        xla: bool = False,
        mixed_precision: bool = False,
    ) -> None:
        self._name = name
        self.batches = RealBatches(_Images(shape), config)
        with tf.device(name):
            self.gan = Gan(config, shape, self.batches.classes, mixed_precision=mixed_precision)
            self.step = TrainStep(self.gan, xla=xla)
        assert self.gan.metrics.totals.device.endswith(f"device:{name.removeprefix('/')}")

    def run(self, steps: int) -> list[dict[str, float]]:
        """Returns the metrics of each step."""
        with tf.device(self._name):
            return [self._one_step() for _ in range(steps)]

    def samples(self) -> np.ndarray:
        """Returns images of the averaged generator."""
        conditions = self.batches.conditions(np.arange(16))
        labels, inputs = (None if array is None else array for array in conditions)
        condition = labels if inputs is None else inputs.astype(np.float32) / 127.5 - 1
        latents = np.random.default_rng(0).standard_normal((16, self.gan.config.latent_size), np.float32)
        with tf.device(self._name):
            return self.gan.sample(latents, condition)

    def _one_step(self) -> dict[str, float]:
        self.step(self.batches.batches(self.gan.images_seen, 1))
        return self.gan.metrics.take_totals()

    def memory_bound(self) -> int:
        """Returns the bytes of the state, plus those of all tensors of one step as if none was ever freed."""
        batches = Batch(*(None if array is None else tf.constant(array) for array in self.batches.batches(0, 1)))
        penalised = ((self.gan.config.penalised,),)
        with tf.device(self._name):
            traced = self.step._compiled.get_concrete_function(batches, tf.constant(0, tf.int64), penalised)
        tensors = sum(
            (tensor.shape.num_elements() or 0) * tensor.dtype.size
            for operation in traced.graph.get_operations()
            for tensor in operation.outputs
            if tensor.dtype not in (tf.resource, tf.variant)
        )
        return tensors + sum(array.nbytes for array in self.gan.state().values())


def assert_close(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]], tolerance: float) -> None:
    """Checks that the metrics of each step are finite and differ by at most `tolerance`, relative or absolute."""
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert np.isfinite(list(one.values())).all(), one
        assert one == pytest.approx(other, rel=tolerance, abs=tolerance)


def assert_no_growth(before: Mapping[str, int], after: Mapping[str, int], bound: int) -> None:
    """Checks TensorFlow's readings of memory: no growth between the two, and a peak of at most `bound` bytes."""
    assert after["current"] <= before["current"], (before, after)
    assert after["peak"] <= bound, (after, bound)


@contextlib.contextmanager
def constant_draws() -> Iterator[None]:
    """Replaces the random draws of a step by constants, because XLA's kernels draw other numbers than TensorFlow's."""

    def uniform(shape: tuple[int, ...], seed: Any, alg: str) -> tf.Tensor:
        return tf.constant(np.random.default_rng(len(shape)).uniform(size=shape), tf.float32)

    def normal(shape: tuple[int, ...], seed: Any, alg: str) -> tf.Tensor:
        return tf.constant(np.random.default_rng(len(shape)).standard_normal(shape), tf.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.random, "stateless_uniform", uniform)
        patch.setattr(tf.random, "stateless_normal", normal)
        yield

"""What a GPU computes: the CPU's figures, with XLA, in 16 bits, after a kill, in bounded memory, and on two GPUs.

The tests with a `device` also run on a CPU, with smaller networks, so that a mistake in them shows on every machine.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import blobs, write_dataset
from device_training import CPU, RECIPES, Device, DeviceTraining, assert_close, assert_no_growth, constant_draws
from recipes import small_parameters
from replicas import metrics_of, start_replicas
from train_commands import finish, outcome, start, wait_for_a_new_checkpoint

from gan_core.training.state import Gan

# Rounding differs between devices and between kernels, and training amplifies it. See docs/gpu.md.
TOLERANCE = 1e-3
ROUNDED_TOLERANCE = 0.05  # float16 or bfloat16 against float32
STEPS = 3
# The memory that cuDNN may use for a convolution, and what TensorFlow keeps for itself.
WORKSPACE = 2**30
WITHOUT_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}

# On a CPU one network shows that a test is right; other tests train all networks on a CPU.
NETWORKS = [("CPU", "dcgan"), *(("GPU", recipe) for recipe in RECIPES)]


def weights_of(gan: Gan) -> list[np.ndarray]:
    variables = [*gan.generator.trainable_variables, *gan.discriminator.trainable_variables]
    return [np.array(variable.numpy()) for variable in variables]


@pytest.mark.parametrize(("device", "recipe"), NETWORKS, indirect=["device"])
def test_the_steps_give_the_figures_of_the_cpu(device: Device, recipe: str) -> None:
    config = device.config(recipe)
    expected, found = (DeviceTraining(config, device.shape, name) for name in (CPU.name, device.name))
    assert_close(found.run(STEPS), expected.run(STEPS), TOLERANCE)
    np.testing.assert_allclose(found.samples(), expected.samples(), atol=5 * TOLERANCE)


@pytest.mark.parametrize(
    ("device", "recipe"), [("CPU", "dcgan"), ("GPU", "dcgan"), ("GPU", "r3gan")], indirect=["device"]
)
def test_xla_gives_the_figures_of_the_separate_kernels(device: Device, recipe: str) -> None:
    config = device.config(recipe)
    expected, compiled = (DeviceTraining(config, device.shape, device.name, xla=xla) for xla in (False, True))
    with constant_draws():
        assert_close(compiled.run(STEPS), expected.run(STEPS), TOLERANCE)


@pytest.mark.parametrize(
    ("device", "recipe"), [("CPU", "dcgan"), ("GPU", "dcgan"), ("GPU", "r3gan")], indirect=["device"]
)
def test_16_bits_train_with_loss_scaling(device: Device, recipe: str) -> None:
    config = device.config(recipe)
    plain, rounded = (
        DeviceTraining(config, device.shape, device.name, mixed_precision=mixed) for mixed in (False, True)
    )
    assert_close(rounded.run(1), plain.run(1), ROUNDED_TOLERANCE)
    gan = rounded.gan
    before = weights_of(gan)
    metrics = rounded.run(device.steps[0])
    assert np.isfinite([list(one.values()) for one in metrics]).all()
    assert all(np.isfinite(array).all() for array in gan.state().values())
    assert max(np.abs(a - b).max() for a, b in zip(before, weights_of(gan), strict=True)) > 1e-4
    scales = [optimizer.variables[-1] for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer)]
    for scale in scales:
        assert 1 <= scale.numpy()[0] <= 2**15
        scale.assign([np.inf, 0.0])
    before = weights_of(gan)
    rounded.run(1)  # the gradients overflow, so the step must change no weight
    for ours, theirs in zip(weights_of(gan), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("device", "fast"), [("CPU", False), ("GPU", False), ("GPU", True)], ids=str, indirect=["device"]
)
def test_memory_stays_bounded(device: Device, fast: bool, record_property: Any) -> None:
    import tensorflow as tf

    name = device.name.removeprefix("/")
    before = tf.config.experimental.get_memory_info(name)["current"]
    tf.config.experimental.reset_memory_stats(name)
    training = DeviceTraining(device.config("dcgan"), device.shape, device.name, xla=fast, mixed_precision=fast)
    early, late = device.steps
    training.run(early)
    after_some, started = tf.config.experimental.get_memory_info(name), time.perf_counter()
    training.run(late - early)
    seconds, after_all = time.perf_counter() - started, tf.config.experimental.get_memory_info(name)
    assert_no_growth(after_some, after_all, before + training.memory_bound() + WORKSPACE)
    record_property("images a second", f"{(late - early) * training.gan.images_per_step / seconds:,.0f}")
    record_property("peak memory", f"{(after_all['peak'] - before) / 2**20:,.0f} MiB")


@pytest.mark.parametrize("switch", ["off", "auto"], ids=["float32", "XLA and 16 bits"])
def test_a_killed_training_gives_the_same_weights(gpus: list[Any], tmp_path: Path, switch: str) -> None:
    """The commands' settings make TensorFlow deterministic, so the weights are equal bit by bit."""
    dataset = write_dataset(tmp_path / "data", blobs(100), blobs(10, seed=1))
    parameters = small_parameters(
        steps=1000,
        log_every_images=800,
        samples_every_images=4000,
        distribution="single",
        xla=switch,
        mixed_precision=switch,
    )
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    disturbed.mkdir()
    code, errors = finish(start(undisturbed, dataset, json.dumps(parameters)))
    assert code == 0, errors
    often = json.dumps({**parameters, "checkpoint_every_seconds": 0.05})
    killed = start(disturbed, dataset, often)
    wait_for_a_new_checkpoint(disturbed, killed)
    killed.kill()
    code, errors = finish(killed)
    assert code == -signal.SIGKILL, errors
    code, errors = finish(start(disturbed, dataset, often))
    assert code == 0, errors
    assert "The training resumes after" in errors
    (expected_rows, expected_weights, *_), (rows, weights, *_) = outcome(undisturbed), outcome(disturbed)
    assert rows == expected_rows
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_two_gpus_give_the_figures_of_one(gpus: list[Any], tmp_path: Path) -> None:
    if len(gpus) < 2:
        pytest.skip(f"needs two GPUs: tf.config.list_physical_devices('GPU') has {len(gpus)}")
    changes = {"normalization": "batch", "learning_rate": 0.0005}
    one, two = (
        start_replicas(
            *(kind, 1, tmp_path / kind, STEPS, changes), environment={**WITHOUT_TF32, "CUDA_VISIBLE_DEVICES": visible}
        )
        for kind, visible in (("single", "0"), ("mirrored", "0,1"))
    )
    (expected,) = metrics_of(one, replicas=1)
    (found,) = metrics_of(two, replicas=2)
    assert_close(found, expected, TOLERANCE)

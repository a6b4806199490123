"""Checks that every architecture must pass; the tests of each architecture call them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan_core.config import RESOLUTIONS
from gan_core.networks import fastgan, r3gan
from gan_core.training import penalties

LATENT_SIZE = 5
SIDES = [*((side, side) for side in RESOLUTIONS), (256, 64), (64, 256), (128, 32), (28, 64)]
"""Height and width of the images that every architecture is tested with."""


def generator_of(network: Any, shape: tuple[int, int, int], **changes: Any) -> Any:
    arguments = {"latent_size": LATENT_SIZE, "width": 4, "growth": 8, "depth": 1, "classes": 0, "seed": 0}
    options = {**arguments, **changes}
    if network is fastgan:
        del options["depth"]  # its layers are fixed
    return network.build_generator(shape, **options)


def discriminator_of(network: Any, shape: tuple[int, int, int], **changes: Any) -> Any:
    arguments = {"width": 4, "growth": 8, "depth": 1, "classes": 0, "dropout": 0.0, "normalization": "batch", "seed": 0}
    options = {**arguments, **changes}
    if network in (r3gan, fastgan):
        del options["normalization"]  # R3GAN has none, FastGAN has batch norm
    if network is fastgan:
        del options["depth"]
    return network.Discriminator(shape, **options)


def draws(shape: tuple[int, ...], seed: int) -> Any:
    return tf.random.stateless_normal(shape, (seed, 0))


def numbers(variables: Any) -> int:
    """Returns how many numbers the variables hold."""
    return sum(int(np.prod(variable.shape)) for variable in variables)


def images_of(generator: Any, classes: int, training: bool = False) -> Any:
    labels = tf.constant([0, classes - 1])
    latents = draws((2, LATENT_SIZE), 1)
    return generator([latents, labels] if classes else latents, training=training)


def check_architecture(
    network: Any, sides: tuple[int, int], *, normalization: str, largest: float | None, depth: int = 1
) -> None:
    """Checks shape and type of images and logits, with and without classes, in grey and colour."""
    for channels, classes in ((1, 10), (3, 0)):
        shape = (*sides, channels)
        shared = {"width": 2, "growth": 2, "depth": depth, "classes": classes}
        generator = generator_of(network, shape, **shared)
        discriminator = discriminator_of(network, shape, dropout=0.5, normalization=normalization, **shared)
        images = images_of(generator, classes)
        assert (images.shape, images.dtype) == ((2, *shape), tf.float32)
        assert np.isfinite(images).all()
        assert largest is None or np.abs(images).max() <= largest
        mask = tf.ones((2, discriminator.dropout_features))
        logits = discriminator(images, tf.constant([0, 9]) if classes else None, mask)
        assert (logits.shape, logits.dtype) == ((2,), tf.float32)
        assert np.isfinite(logits).all()


def check_seed(network: Any, *, normalization: str) -> None:
    """Checks that weights depend only on the seed, and that every kernel is drawn and no two are equal."""
    for build in (
        lambda seed: generator_of(network, (16, 16, 1), classes=3, seed=seed).weights,
        lambda seed: discriminator_of(network, (16, 16, 1), classes=3, normalization=normalization, seed=seed).weights,
    ):
        first, same, other = ([variable.numpy() for variable in build(seed)] for seed in (0, 0, 1))
        assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
        drawn = [(a, b) for a, b in zip(first, other, strict=True) if a.std() > 0]
        assert all(not np.array_equal(a, b) for a, b in drawn)
        assert len({a.ravel()[0] for a, _ in drawn}) == len(drawn)


def check_saving(network: Any, *, classes: int) -> None:
    """Checks that the generator's file loads in safe mode and makes the same images."""
    generator = generator_of(network, (28, 28, 3), classes=classes)
    with tempfile.TemporaryDirectory() as folder:
        generator.save(Path(folder) / "generator.keras")
        restored = keras.models.load_model(Path(folder) / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(images_of(restored, classes), images_of(generator, classes))


def check_mixed_precision(network: Any, *, normalization: str, half: str = "float16", tolerance: float = 0.02) -> None:
    """Checks that layers compute in `half`, and that images and logits are float32 and equal up to rounding."""
    shape = (16, 16, 1)
    images, logits = [], []
    for dtype in ("float32", f"mixed_{half}"):
        generator = generator_of(network, shape, classes=3, dtype=dtype)
        discriminator = discriminator_of(network, shape, classes=3, normalization=normalization, dtype=dtype)
        images.append(images_of(generator, 3, training=True))
        logits.append(discriminator(images[0], tf.constant([0, 2]), None))
        assert {v.dtype for v in generator.weights + discriminator.weights} == {"float32"}
    assert {layer.compute_dtype for layer in generator.layers} >= {half}
    assert images[1].dtype == logits[1].dtype == tf.float32
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(logits[0], logits[1])
    np.testing.assert_allclose(images[1], images[0], atol=tolerance)
    np.testing.assert_allclose(logits[1], logits[0], rtol=tolerance / 2, atol=tolerance)


def check_labels(network: Any, *, normalization: str) -> None:
    """Checks that each label gives a different image and a different logit."""
    shape = (16, 16, 1)
    generator = generator_of(network, shape, classes=3)
    discriminator = discriminator_of(network, shape, classes=3, normalization=normalization)
    for number, variable in enumerate(generator.trainable_variables):
        variable.assign_add(0.1 * draws(variable.shape, number))  # a resnet's classes are equal at the start
    latents = draws((1, LATENT_SIZE), 1)
    images = [generator([latents, tf.constant([label])]).numpy() for label in range(3)]
    logits = [discriminator(images[0], tf.constant([label]), None).numpy() for label in range(3)]
    for found in (images, logits):
        assert min(np.abs(found[a] - found[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 1e-3


def check_second_derivatives(network: Any, *, normalization: str) -> None:
    """Checks the gradient of R1 by the weights against a finite difference along it.

    It takes one image and a small step, because R1 jumps wherever an activation changes its sign.
    """
    image, label, step = draws((1, 16, 16, 3), 3), tf.constant([2]), 1e-4
    discriminator = discriminator_of(network, (16, 16, 3), width=2, classes=3, normalization=normalization)
    variables = discriminator.trainable_variables
    for _ in range(40):  # until the vectors of the spectral norm have converged, so that they are constant
        discriminator(image, label, None)
    initial = [variable.numpy() for variable in discriminator.weights]

    @tf.function
    def penalty_and_gradients() -> Any:
        with tf.GradientTape() as tape:
            _, penalty = penalties.zero_centered(lambda x: discriminator(x, label, None), image)
        return penalty, tape.gradient(penalty, [v.value for v in variables], unconnected_gradients="zero")

    _, gradients = penalty_and_gradients()
    norm = float(tf.linalg.global_norm(gradients))
    values = []
    for sign in (1, -1):
        for variable, value in zip(discriminator.weights, initial, strict=True):
            variable.assign(value)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_add(sign * step * gradient / norm)
        values.append(float(penalty_and_gradients()[0]))
    np.testing.assert_allclose((values[0] - values[1]) / (2 * step), norm, rtol=0.02)

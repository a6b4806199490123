"""The losses train a GAN on eight Gaussians on a circle, where every mode can be counted.

The non-saturating loss covers all modes with batch norm in both networks, as in the default recipe, and also with a
penalty instead. The relativistic loss covers all modes with a penalty. With neither, the non-saturating loss leaves
four modes nearly empty here (about 1 % of the samples in each, where 12.5 % are expected).
"""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.training import losses, penalties
from gan_core.training.optimizer import Adam

MODES = 2.0 * np.stack([np.cos(np.arange(8) * math.pi / 4), np.sin(np.arange(8) * math.pi / 4)], axis=1)
DEVIATION = 0.05
STEPS, BATCH = 4000, 256


def network(sizes, seed, first_normalized):
    """Returns dense layers. The hidden ones from `first_normalized` on have batch norm, as in the dcgan."""
    layers = [keras.Input((sizes[0],))]
    for index, size in enumerate(sizes[1:]):
        kernel = keras.initializers.HeNormal(seed=10 * seed + index)
        layers.append(keras.layers.Dense(size, kernel_initializer=kernel))
        if index < len(sizes) - 2:
            if index >= first_normalized:
                layers.append(keras.layers.BatchNormalization(scale=False))
            layers.append(keras.layers.LeakyReLU(0.2))
    return keras.Sequential(layers)


def train(discriminator_loss, generator_loss, gamma, normalized):
    """Alternates steps as gan_core.training.objective does; returns 4,000 samples of the trained generator."""
    generator = network([8, 64, 64, 2], seed=1, first_normalized=0 if normalized else 2)
    discriminator = network([2, 64, 64, 1], seed=2, first_normalized=1 if normalized else 2)
    generator_optimizer, discriminator_optimizer = (
        Adam(one, mixed_precision=False) for one in (generator, discriminator)
    )
    modes = tf.constant(MODES, tf.float32)

    def logits_of(points):
        return discriminator(points, training=True)[:, 0]

    @tf.function
    def step(number):
        def normal(purpose, *shape):
            return tf.random.stateless_normal(shape, [number, purpose])

        chosen = tf.random.stateless_uniform([BATCH], [number, 0], 0, 8, tf.int32)
        real = tf.gather(modes, chosen) + DEVIATION * normal(1, BATCH, 2)
        tape = generator_optimizer.tape()
        with tape:
            fake = generator(normal(2, BATCH, 8), training=True)
        discriminator_tape = discriminator_optimizer.tape()
        with discriminator_tape:
            loss = discriminator_loss(logits_of(real), logits_of(fake))
            for points in (real, fake) if gamma else ():
                # The penalties expect images.
                penalty = penalties.zero_centered(lambda p: logits_of(p[:, 0, 0]), points[:, None, None])[1]
                loss += gamma / 2 * penalty
        rates = tf.constant(0.001), 0.5, tf.constant(0.9)
        discriminator_optimizer.apply(discriminator_optimizer.gradients(discriminator_tape, loss), *rates)
        with tape:
            loss = generator_loss(logits_of(real), logits_of(fake))
        generator_optimizer.apply(generator_optimizer.gradients(tape, loss), *rates)

    for number in range(STEPS):
        step(tf.constant(number))
    return generator(tf.random.stateless_normal((4000, 8), [7, 7]), training=True).numpy()


@pytest.mark.parametrize(
    ("discriminator_loss", "generator_loss", "gamma", "least"),
    [
        (losses.cross_entropy_discriminator, losses.non_saturating_generator, 0.0, 0.03),
        (losses.cross_entropy_discriminator, losses.non_saturating_generator, 1.0, 0.06),
        (losses.relativistic_discriminator, losses.relativistic_generator, 1.0, 0.06),
    ],
    ids=["default", "penalised", "relativistic"],
)
def test_every_mode_is_covered(discriminator_loss, generator_loss, gamma, least):
    samples = train(discriminator_loss, generator_loss, gamma, normalized=not gamma)
    distances = np.linalg.norm(samples[:, None] - MODES[None], axis=2)
    near = distances.min(axis=1) < 0.5  # the middle between two modes is 0.77 away from each
    shares = np.bincount(distances[near].argmin(axis=1), minlength=8) / len(samples)
    assert shares.min() > least, shares
    assert near.mean() > 0.75

"""The data of one step: real images, and every random number drawn for them.

Every draw is a pure function of (seed, purpose, images seen), over the whole global batch. So neither a resumed
training, nor the number of replicas, nor accumulation changes a number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from gan_core.config import TrainConfig
from gan_core.representation import to_network_tensor
from gan_core.training.augment import NUMBERS
from gan_core.training.distribution import Distribution

# Purposes of random draws. A mask and an augmentation have one purpose for each pass through the discriminator.
_LATENTS, _DROPOUT, _AUGMENT, _INTERPOLATION, _QUARTER = 0, 1, 4, 7, 8
_REAL, _FAKE, _GENERATOR = range(3)


class Batch(NamedTuple):
    """Real images of one step, `images` uint8 [discriminator_steps, batch_size, H, W, C].

    `labels` are int32 [discriminator_steps, batch_size] for a conditional GAN, `inputs` have the form of the images for
    a paired GAN; otherwise they are None.
    """

    images: Any
    labels: Any = None
    inputs: Any = None


class PassDraws(NamedTuple):
    """Random numbers of one pass through the discriminator, each None if the parameters do not use it.

    Attributes:
        dropout_mask: [B, features], 0 or 1 / (1 − dropout).
        augmentation: [B, NUMBERS] in [0, 1).
    """

    dropout_mask: tf.Tensor | None
    augmentation: tf.Tensor | None


class Part(NamedTuple):
    """One replica's share of a batch or, with gradient accumulation, of a part of it: B images and random numbers.

    Attributes:
        real_images: as networks read them, [B, H, W, C] in [−1, 1].
        labels: int32 [B] for a conditional GAN, else None.
        inputs: images of the same form for a paired GAN, else None.
        latents: [B, latent_size], standard normal.
        interpolation: [B, 1, 1, 1] in [0, 1), the weight of the real image in the gradient penalty's interpolation.
        quarters: int32 [B], 0 to 3, the quarter of each real image that a self-supervised discriminator reconstructs.
        real_pass, fake_pass: draws for the discriminator's loss, on real and on generated images.
        generator_pass: draws for the generator's loss, on generated images.
    """

    real_images: tf.Tensor
    labels: tf.Tensor | None
    inputs: tf.Tensor | None
    latents: tf.Tensor
    interpolation: tf.Tensor
    quarters: tf.Tensor
    real_pass: PassDraws
    fake_pass: PassDraws
    generator_pass: PassDraws


def draw_parts(
    config: TrainConfig,
    batch: Batch,
    turn: int,
    images_seen: tf.Tensor,
    *,
    distribution: Distribution,
    dropout_features: int,
    symbols: int,
) -> list[Part]:
    """Returns this replica's `accumulation_steps` parts for one step of the discriminator.

    Args:
        config: parameters of the training.
        batch: the real images of the whole step.
        turn: which of the `discriminator_steps` this is.
        images_seen: real images seen before it, a scalar int64.
        distribution: the split of the batch among replicas.
        dropout_features: number of features that dropout masks; 0 for a discriminator without dropout.
        symbols: number of different codes in the images; 0 for levels.
    """
    rows = config.batch_size

    def seed(purpose: int) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(
            tf.constant([config.seed, purpose], tf.int64), images_seen, alg="philox"
        )

    def part_of_batch(part: int) -> Part:
        def share(array: Any) -> Any:
            return distribution.slice(array, part, config.accumulation_steps)

        def uniform(purpose: int, *shape: int) -> tf.Tensor:
            return share(tf.random.stateless_uniform((rows, *shape), seed(purpose), alg="philox"))

        def draws(discriminator_pass: int) -> PassDraws:
            mask = augmentation = None
            if dropout_features and config.dropout:
                kept = uniform(_DROPOUT + discriminator_pass, dropout_features) >= config.dropout
                mask = tf.cast(kept, tf.float32) / (1.0 - config.dropout)
            if config.augment:
                augmentation = uniform(_AUGMENT + discriminator_pass, NUMBERS)
            return PassDraws(mask, augmentation)

        return Part(
            real_images=to_network_tensor(share(batch.images[turn]), symbols),
            labels=None if batch.labels is None else share(batch.labels[turn]),
            inputs=None if batch.inputs is None else to_network_tensor(share(batch.inputs[turn]), symbols),
            latents=share(tf.random.stateless_normal((rows, config.latent_size), seed(_LATENTS), alg="philox")),
            interpolation=uniform(_INTERPOLATION, 1, 1, 1),
            quarters=tf.cast(4 * uniform(_QUARTER), tf.int32),
            real_pass=draws(_REAL),
            fake_pass=draws(_FAKE),
            generator_pass=draws(_GENERATOR),
        )

    return [part_of_batch(part) for part in range(config.accumulation_steps)]

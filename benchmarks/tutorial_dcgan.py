"""The peer: the DCGAN of TensorFlow's official tutorial, reimplemented from its description, and its training.

Generator: Dense 7·7·256 without bias, batch norm, LeakyReLU 0.3, then 5×5 transposed convolutions without bias to 128
channels at stride 1 and 64 at stride 2, each with batch norm and LeakyReLU, and to 1 channel at stride 2, tanh.
Discriminator: 5×5 convolutions at stride 2 to 64 and 128 channels, each with LeakyReLU 0.3 and dropout 0.3, Flatten,
Dense. Cross-entropy on logits, Keras's Adam for both, 100 latents, no averaged weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.recorder import Recorder

LATENT_SIZE = 100
SETTINGS = {
    "tutorial": {"one_dnn": "", "batch_size": 256, "learning_rate": 0.0001},
    "tutorial-tuned": {"one_dnn": "1", "batch_size": 64, "learning_rate": 0.0002},
}
"""The tutorial's own settings, with TensorFlow's default for oneDNN, and settings that are better on a CPU."""


def build_generator(norm: Any = None, to_image: Any = None) -> Any:
    """Latents [B, 100] → images [B, 28, 28, 1] in [−1, 1]; 2,330,944 parameters.

    `norm` and `to_image` build the batch norms and the last layer in place of Keras's.
    """
    from keras import Sequential, layers

    norm, to_image = norm or layers.BatchNormalization, to_image or layers.Conv2DTranspose
    return Sequential(
        [
            layers.Input((LATENT_SIZE,)),
            layers.Dense(7 * 7 * 256, use_bias=False),
            norm(),
            layers.LeakyReLU(0.3),
            layers.Reshape((7, 7, 256)),
            layers.Conv2DTranspose(128, 5, 1, "same", use_bias=False),
            norm(),
            layers.LeakyReLU(0.3),
            layers.Conv2DTranspose(64, 5, 2, "same", use_bias=False),
            norm(),
            layers.LeakyReLU(0.3),
            to_image(1, 5, 2, "same", use_bias=False, activation="tanh"),
        ]
    )


def build_features(from_image: Any = None) -> Any:
    """The discriminator without its last layer: images [B, 28, 28, 1] → features [B, 6272].

    `from_image` builds the first layer in place of Keras's.
    """
    from keras import Sequential, layers

    from_image = from_image or layers.Conv2D
    return Sequential(
        [
            layers.Input((28, 28, 1)),
            from_image(64, 5, 2, "same"),
            layers.LeakyReLU(0.3),
            layers.Dropout(0.3),
            layers.Conv2D(128, 5, 2, "same"),
            layers.LeakyReLU(0.3),
            layers.Dropout(0.3),
            layers.Flatten(),
        ]
    )


def build_discriminator() -> Any:
    """Images [B, 28, 28, 1] → logits [B, 1]; 212,865 parameters."""
    from keras import Sequential, layers

    return Sequential([layers.Input((28, 28, 1)), *build_features().layers, layers.Dense(1)])


def train(images: NDArray[np.uint8], settings: dict[str, Any], seed: int, recorder: Recorder) -> None:
    """Trains on uint8 images [N, 28, 28, 1] until the recorder is finished."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    generator, discriminator = build_generator(), build_discriminator()
    optimizers = [keras.optimizers.Adam(settings["learning_rate"]) for _ in range(2)]
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    batch_size = settings["batch_size"]

    @tf.function
    def step(images: tf.Tensor) -> None:
        noise = tf.random.normal((batch_size, LATENT_SIZE))
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = generator(noise, training=True)
            real, fake = discriminator(images, training=True), discriminator(generated, training=True)
            generator_loss = cross_entropy(tf.ones_like(fake), fake)
            discriminator_loss = cross_entropy(tf.ones_like(real), real) + cross_entropy(tf.zeros_like(fake), fake)
        for network, optimizer, tape, loss in (
            (generator, optimizers[0], generator_tape, generator_loss),
            (discriminator, optimizers[1], discriminator_tape, discriminator_loss),
        ):
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    draw = tf.function(lambda noise: generator(noise, training=False))
    data = tf.data.Dataset.from_tensor_slices((images.astype(np.float32) - 127.5) / 127.5)
    # The last, smaller batch of an epoch would compile the step a second time.
    data = data.shuffle(len(images), seed=seed).batch(batch_size, drop_remainder=True).prefetch(2)
    for number, batch in enumerate(data.repeat(), start=1):
        step(batch)
        recorder.after_step(number * batch_size, lambda latents, _: draw(latents).numpy())
        if recorder.finished:
            return

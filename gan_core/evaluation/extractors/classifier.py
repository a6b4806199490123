"""The extractor `classifier`: a small convolutional network trained on the prepared data's own labels.

It needs no download and is adapted to the data, so it ranks generators of that data well. Its Fréchet distance is
called `fd_classifier`, not FID, because it depends on this network and cannot be compared with published values.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.data.prepared import ImageSplit, PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.cache import Arrays, cached, digest_of
from gan_core.evaluation.extractors.features import Advance
from gan_core.representation import network_shape, to_network_tensor

RECIPE: dict[str, int | float] = {
    "version": 1,
    "widest": 64,  # channels of the last convolution; each earlier one has half as many as the next, at least 16
    "kernel": 3,
    "features": 64,
    "steps": 468,  # for data of any size; 8 epochs of 7,500 images
    "batch_size": 128,
    "learning_rate": 0.002,  # decays to 0 along half a cosine
}
"""Together with the data, this determines the weights."""
IMAGES_SHOWN = int(RECIPE["steps"]) * int(RECIPE["batch_size"])


class ClassifierExtractor:
    """The inputs of the trained classifier's last layer, computed at the data's own resolution.

    The features are divided by one number, so that their variance over the training images is 1 on average. Otherwise
    the kernel distance would depend on the network's arbitrary scale.

    Attributes:
        name, digest, size, resize: as in `Extractor`.
        accuracy: share of the held-out images that it classifies correctly.
    """

    name = "classifier"
    resize = "none"

    def __init__(self, digest: str, model: Any, arrays: Arrays) -> None:
        import tensorflow as tf

        model.set_weights([arrays[f"weight_{position}"] for position in range(len(model.weights))])
        self.digest = digest
        self.size = int(RECIPE["features"])
        self.accuracy: float | None = float(arrays["accuracy"])
        self._scale = np.float32(arrays["scale"])
        self._shape = model.input_shape[1:]
        trunk, self._head = model.layers
        signature = [tf.TensorSpec((None, *self._shape), tf.uint8)]
        self._features = tf.function(lambda images: trunk(images, training=False), input_signature=signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, D] of uint8 images [B, H, W, C].

        Raises:
            InvalidInput: the images' shape is not that of the training images.
        """
        if images.shape[1:] != self._shape:
            raise InvalidInput(
                f"The classifier compares arrays of the shape it was trained on, {self._shape}. "
                f"Received: arrays of shape {images.shape[1:]}"
            )
        features: NDArray[np.float32] = self._features(images).numpy() / self._scale
        return features

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns class probabilities float32 [B, classes] from features [B, D]."""
        import keras

        probabilities: NDArray[np.float32] = keras.ops.convert_to_numpy(
            keras.ops.softmax(self._head(features * self._scale))
        )
        return probabilities


def train_classifier(dataset: PreparedDataset, cache: Path, advance: Advance = lambda _: None) -> ClassifierExtractor:
    """Trains the classifier on the train split, or loads it from the cache.

    The data must have labels of at least two classes. The same data gives bit-identical weights on CPUs of one kind.
    """
    manifest = dataset.manifest
    parts = {"what": "classifier", "dataset": manifest.digest, **RECIPE}
    arrays = cached(cache, parts, lambda: _train(dataset, advance))
    model = _build(codec_of(manifest), len(manifest.classes))
    return ClassifierExtractor(digest_of(parts), model, arrays)


def _build(codec: Codec, classes: int) -> Any:
    """Builds uint8 images → convolutions that halve the longer side to 8 pixels or fewer → features → class logits."""
    import keras

    shape, symbols = codec.shape, codec.symbols
    one_hot = keras.layers.Lambda(lambda codes: to_network_tensor(codes, symbols), network_shape(shape, symbols))
    layers = [keras.Input(shape, dtype="uint8"), one_hot if symbols else keras.layers.Rescaling(1 / 127.5, offset=-1.0)]

    def initial() -> Any:
        return keras.initializers.HeNormal(seed=len(layers))

    halvings = math.ceil(math.log2(max(shape[:2]) / 8))
    for left in reversed(range(halvings)):
        width = max(16, int(RECIPE["widest"]) >> left)
        layers.append(
            keras.layers.Conv2D(
                width, int(RECIPE["kernel"]), 2, "same", activation="relu", kernel_initializer=initial()
            )
        )
    layers.append(keras.layers.Flatten())
    layers.append(keras.layers.Dense(int(RECIPE["features"]), activation="relu", kernel_initializer=initial()))
    head = keras.layers.Dense(classes, kernel_initializer=keras.initializers.GlorotUniform(seed=len(layers)))
    return keras.Sequential([keras.Input(shape, dtype="uint8"), keras.Sequential(layers), head])


def _train(dataset: PreparedDataset, advance: Advance) -> Arrays:
    import keras

    split, batch_size = dataset.split("train"), int(RECIPE["batch_size"])
    steps = int(RECIPE["steps"])
    model = _build(codec_of(dataset.manifest), len(dataset.manifest.classes))
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(float(RECIPE["learning_rate"]), steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for step in range(steps):
        positions = _positions(split.count, step, batch_size)
        model.train_on_batch(split.images(positions), split.labels(positions))
        advance(batch_size)
    weights = {f"weight_{position}": weight for position, weight in enumerate(model.get_weights())}
    accuracy = np.asarray(_accuracy(model, dataset.split("held_out")))
    return {**weights, "accuracy": accuracy, "scale": np.asarray(_scale(model.layers[0], split))}


def _positions(count: int, step: int, batch_size: int) -> NDArray[np.int64]:
    """Returns the positions of a step's training images: a batch of an endless sequence of shuffled epochs."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    chosen = np.empty(batch_size, np.int64)
    for epoch in np.unique(places // count):
        shuffle = np.random.Generator(np.random.Philox(key=int(epoch))).permutation(count)
        chosen[places // count == epoch] = shuffle[places[places // count == epoch] % count]
    return chosen


def _accuracy(model: Any, split: ImageSplit) -> float:
    right = 0
    for start in range(0, split.count, 256):
        positions = np.arange(start, min(start + 256, split.count))
        logits = np.asarray(model(split.images(positions), training=False))
        right += int((logits.argmax(axis=1) == split.labels(positions)).sum())
    return right / split.count


def _scale(trunk: Any, split: ImageSplit) -> float:
    """Returns √(mean variance of the features) over the first 2048 training images; 1 if they do not vary."""
    features = np.asarray(trunk(split.images(np.arange(min(split.count, 2048))), training=False))
    return float(np.sqrt(features.var(axis=0).mean())) or 1.0

"""The extractors that quality.py and preset_ablation.py use for their scores, all trained on this machine.

These two were not used to choose a recipe:

- `turns`: a convolutional network that predicts by how many quarter turns an image was rotated. It needs no labels and
  responds to the positions of shapes and textures. Gidaris et al. 2018, arXiv 1803.07728.
- `dense`: a network without convolutions, trained on the 60,000 labels.

These were used to choose the recipes, so their scores are shown but do not decide:

- `random`: the evaluator's untrained network. It responds to shapes and edges and has not been trained on clothes.
- `residual`: a residual network with batch norm and global average pooling, trained on the labels.
- `autoencoder`: the 64-number code of a convolutional autoencoder.
- `classifier`: the evaluator's own, trained on the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.official_split import ArrayDataset, ArraySplit
from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.data.prepared import ImageSplit, PreparedDataset
from gan_core.evaluation.cache import Arrays, cached, digest_of
from gan_core.evaluation.extractors.classifier import train_classifier
from gan_core.evaluation.extractors.features import Extractor
from gan_core.evaluation.extractors.random_network import RandomExtractor
from gan_core.representation import network_shape, to_network_tensor

TUNED_ON = ("random", "residual", "autoencoder", "classifier")
_SETTINGS = {"version": 2, "steps": 1500, "batch_size": 128, "learning_rate": 0.002}
_LABELS, _IMAGE, _TURNS = "labels", "image", "turns"


class TrainedExtractor:
    """Features of a trained network, divided by one number so that their mean variance over training images is 1.

    The attributes are those of every `Extractor`.
    """

    resize = "none"

    def __init__(self, name: str, digest: str, network: Any, scale: float, accuracy: float | None) -> None:
        import tensorflow as tf

        self.name, self.digest, self.accuracy = name, digest, accuracy
        self.size = network.output_shape[-1]
        signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8)]
        self._features = tf.function(lambda images: network(images, training=False) / scale, input_signature=signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features float32 [B, D] of uint8 images [B, H, W, C]."""
        features: NDArray[np.float32] = self._features(images).numpy()
        return features


def build_extractors(dataset: ArrayDataset, cache: Path) -> list[Extractor]:
    """Trains the extractors, or loads them from the folder `cache`."""
    return [
        _trained(_Recipe("turns", _TURNS, 7003, _convolutional), dataset, cache),
        dense_extractor(dataset, cache),
        RandomExtractor(),
        _trained(_Recipe("residual", _LABELS, 7001, _residual), dataset, cache),
        _trained(_Recipe("autoencoder", _IMAGE, 7002, _autoencoder), dataset, cache),
        train_classifier(dataset, cache),  # type: ignore[arg-type]
    ]


def dense_extractor(dataset: ArrayDataset | PreparedDataset, cache: Path) -> Extractor:
    """Trains the extractor `dense` on labelled data of any modality, or loads it from the folder `cache`."""
    return _trained(_Recipe("dense", _LABELS, 7004, _dense), dataset, cache)


class _Recipe(NamedTuple):
    """An extractor's training target, its seed, and its network without and with the last layer."""

    name: str
    task: str
    seed: int
    build: Callable[[Codec, int], tuple[Any, Any]]


def _trained(recipe: _Recipe, dataset: ArrayDataset | PreparedDataset, cache: Path) -> Extractor:
    import keras

    manifest = dataset.manifest
    keras.utils.set_random_seed(recipe.seed)
    trunk, model = recipe.build(codec_of(manifest), 4 if recipe.task == _TURNS else len(manifest.classes))
    parts = {
        "what": f"benchmark {recipe.name}",
        "dataset": manifest.digest,
        "task": recipe.task,
        "seed": recipe.seed,
        **_SETTINGS,
    }
    arrays = cached(cache, parts, lambda: _train(recipe, trunk, model, dataset))
    model.set_weights([arrays[f"weight_{position}"] for position in range(len(model.weights))])
    accuracy = float(arrays["accuracy"]) if "accuracy" in arrays else None
    return TrainedExtractor(recipe.name, digest_of(parts), trunk, float(arrays["scale"]), accuracy)


def _train(recipe: _Recipe, trunk: Any, model: Any, dataset: ArrayDataset | PreparedDataset) -> Arrays:
    import keras

    print(f"training the extractor {recipe.name}", flush=True)
    task = recipe.task
    train, held_out = (dataset.split(split) for split in ("train", "held_out"))
    generator = np.random.default_rng(recipe.seed)

    def shown_with_answers(
        split: ArraySplit | ImageSplit, positions: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        images = split.images(positions)
        if task == _IMAGE:
            return images, images / np.float32(127.5) - 1
        if task == _LABELS:
            return images, split.labels(positions)
        turns = generator.integers(4, size=len(images))
        return np.stack([np.rot90(image, count) for image, count in zip(images, turns, strict=True)]), turns

    steps, batch_size = int(_SETTINGS["steps"]), int(_SETTINGS["batch_size"])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_SETTINGS["learning_rate"], steps)),
        "mse" if task == _IMAGE else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(steps):
        model.train_on_batch(*shown_with_answers(train, generator.integers(train.count, size=batch_size)))
    arrays = {f"weight_{position}": weight for position, weight in enumerate(model.get_weights())}
    features = trunk.predict(train.images(np.arange(min(train.count, 2048))), verbose=0)
    arrays["scale"] = np.asarray(np.sqrt(features.var(axis=0).mean()))
    if task != _IMAGE:
        images, answers = shown_with_answers(held_out, np.arange(held_out.count))
        arrays["accuracy"] = np.asarray((model.predict(images, verbose=0).argmax(axis=1) == answers).mean())
    return arrays


def _convolutional(codec: Codec, answers: int) -> tuple[Any, Any]:
    """Returns the network without and with its last layer."""
    import keras
    from keras import layers

    images = keras.Input(codec.shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    for channels, stride in ((32, 1), (64, 2), (96, 2), (128, 1)):
        x = layers.Conv2D(channels, 3, stride, "same", activation="elu")(x)
    features = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, features), keras.Model(images, layers.Dense(answers)(features))


def _dense(codec: Codec, classes: int) -> tuple[Any, Any]:
    import keras
    from keras import layers

    shape, symbols = codec.shape, codec.symbols
    images = keras.Input(shape, dtype="uint8")
    one_hot = layers.Lambda(lambda codes: to_network_tensor(codes, symbols), network_shape(shape, symbols))
    x = layers.Flatten()((one_hot if symbols else layers.Rescaling(1 / 127.5, offset=-1.0))(images))
    for count in (512, 256):
        x = layers.Dense(count, activation="relu")(x)
    features = layers.Dense(64, activation="tanh")(x)
    return keras.Model(images, features), keras.Model(images, layers.Dense(classes)(features))


def _residual(codec: Codec, classes: int) -> tuple[Any, Any]:
    import keras
    from keras import layers

    images = keras.Input(codec.shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    for channels in (32, 64, 128):
        x = layers.Conv2D(channels, 3, 2, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        branch = layers.Conv2D(channels, 3, 1, "same", use_bias=False)(x)
        branch = layers.ReLU()(layers.BatchNormalization()(branch))
        branch = layers.Conv2D(channels, 3, 1, "same", use_bias=False)(branch)
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(branch)]))
    features = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, features), keras.Model(images, layers.Dense(classes)(features))


def _autoencoder(codec: Codec, _classes: int) -> tuple[Any, Any]:
    """Returns the encoder, and the encoder with the decoder."""
    import keras
    from keras import layers

    images = keras.Input(codec.shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    for channels in (32, 64):
        x = layers.Conv2D(channels, 4, 2, "same", activation="relu")(x)
    inner = x.shape[1:]
    code = layers.Dense(64)(layers.Flatten()(x))
    x = layers.Dense(int(np.prod(inner)), activation="relu")(code)
    x = layers.Reshape(inner)(x)
    x = layers.Conv2DTranspose(32, 4, 2, "same", activation="relu")(x)
    x = layers.Conv2DTranspose(codec.shape[2], 4, 2, "same", activation="tanh")(x)
    return keras.Model(images, code), keras.Model(images, x)

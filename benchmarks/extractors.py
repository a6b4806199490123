"""The extractors quality.py judges with, all of them computed on this machine.

- `random`: the evaluator's untrained network. It sees shapes and edges and knows nothing of clothes.
- `residual`: a residual network with batch norm and global average pooling, trained on the 60,000 labels. It differs
  from `classifier` in architecture, seed and features, and sees what the classes are told apart by.
- `autoencoder`: the 64 numbers a convolutional autoencoder keeps of an image. It needs no labels and sees what it takes
  to draw the image again.
- `classifier`: the evaluator's own, trained on the same images. It is the one recipes were chosen with, so it is shown
  and not judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.official_split import ArrayDataset
from gan_core.evaluation.cache import Arrays, cached, digest_of
from gan_core.evaluation.classifier import train_classifier
from gan_core.evaluation.features import Extractor
from gan_core.evaluation.random_network import RandomExtractor

TUNED_ON = "classifier"
_RECIPES: dict[str, dict[str, int | float]] = {
    "residual": {"version": 1, "seed": 7001, "steps": 1500, "batch_size": 128, "learning_rate": 0.002},
    "autoencoder": {"version": 1, "seed": 7002, "steps": 1500, "batch_size": 128, "learning_rate": 0.002},
}


class TrainedExtractor:
    """Features of a trained network, divided by one number so that over training images their mean variance is 1.

    Attributes: as of every `Extractor`.
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
    """Trains them, or takes them from the folder `cache`."""
    return [
        RandomExtractor(),
        _trained("residual", _residual, dataset, cache),
        _trained("autoencoder", _autoencoder, dataset, cache),
        train_classifier(dataset, cache),  # type: ignore[arg-type]
    ]


def _trained(name: str, build: Callable[[Any, int], tuple[Any, Any]], dataset: ArrayDataset, cache: Path) -> Extractor:
    import keras

    recipe, manifest = _RECIPES[name], dataset.manifest
    keras.utils.set_random_seed(int(recipe["seed"]))
    trunk, model = build(manifest.shape, len(manifest.classes))
    parts = {"what": f"benchmark {name}", "dataset": manifest.digest, **recipe}
    arrays = cached(cache, parts, lambda: _train(name, recipe, trunk, model, dataset))
    model.set_weights([arrays[f"weight_{position}"] for position in range(len(model.weights))])
    accuracy = float(arrays["accuracy"]) if "accuracy" in arrays else None
    return TrainedExtractor(name, digest_of(parts), trunk, float(arrays["scale"]), accuracy)


def _train(name: str, recipe: dict[str, int | float], trunk: Any, model: Any, dataset: ArrayDataset) -> Arrays:
    import keras

    print(f"training the extractor {name}", flush=True)
    labelled = name == "residual"
    train, held_out = (dataset.split(split) for split in ("train", "held_out"))
    steps, batch_size = int(recipe["steps"]), int(recipe["batch_size"])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(float(recipe["learning_rate"]), steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True) if labelled else "mse",
    )
    generator = np.random.default_rng(int(recipe["seed"]))
    for _ in range(steps):
        positions = generator.integers(train.count, size=batch_size)
        images = train.images(positions)
        model.train_on_batch(images, train.labels(positions) if labelled else images / np.float32(127.5) - 1)
    arrays = {f"weight_{position}": weight for position, weight in enumerate(model.get_weights())}
    features = trunk.predict(train.images(np.arange(min(train.count, 2048))), verbose=0)
    arrays["scale"] = np.asarray(np.sqrt(features.var(axis=0).mean()))
    if labelled:
        everything = np.arange(held_out.count)
        guesses = model.predict(held_out.images(everything), verbose=0).argmax(axis=1)
        arrays["accuracy"] = np.asarray((guesses == held_out.labels(everything)).mean())
    return arrays


def _residual(shape: tuple[int, int, int], classes: int) -> tuple[Any, Any]:
    """The network up to its last layer, and with it."""
    import keras
    from keras import layers

    images = keras.Input(shape, dtype="uint8")
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


def _autoencoder(shape: tuple[int, int, int], _classes: int) -> tuple[Any, Any]:
    """The encoder, and encoder and decoder together."""
    import keras
    from keras import layers

    images = keras.Input(shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    for channels in (32, 64):
        x = layers.Conv2D(channels, 4, 2, "same", activation="relu")(x)
    inner = x.shape[1:]
    code = layers.Dense(64)(layers.Flatten()(x))
    x = layers.Dense(int(np.prod(inner)), activation="relu")(code)
    x = layers.Reshape(inner)(x)
    x = layers.Conv2DTranspose(32, 4, 2, "same", activation="relu")(x)
    x = layers.Conv2DTranspose(shape[2], 4, 2, "same", activation="tanh")(x)
    return keras.Model(images, code), keras.Model(images, x)

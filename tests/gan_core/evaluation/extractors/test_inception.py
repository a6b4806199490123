"""The Inception network alone. tests/peers compares it with other implementations."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.inception import InceptionExtractor
from gan_core.evaluation.extractors.inception_network import build_network, load_tensors
from gan_core.evaluation.extractors.resize import resize
from gan_core.evaluation.extractors.weights import INCEPTION, Weights, load_weights
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance


@pytest.fixture(scope="module")
def network() -> Any:
    return build_network()


@pytest.fixture(scope="module")
def tensors(network: Any) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    tensors = {
        "fc.weight": generator.standard_normal((1008, 2048)).astype(np.float32) / 45,
        "fc.bias": generator.standard_normal(1008).astype(np.float32),
    }
    for layer in network.layers:
        if layer.weights:
            height, width, inputs, filters = layer.kernel.shape
            scale = (2 / (height * width * inputs)) ** 0.5
            kernel = generator.standard_normal((filters, inputs, height, width), dtype=np.float32) * np.float32(scale)
            tensors[f"{layer.name}.conv.weight"] = kernel
            for part, low, high in (
                ("weight", 0.5, 1.5),
                ("bias", -0.3, 0.3),
                ("running_mean", -0.3, 0.3),
                ("running_var", 0.5, 1.5),
            ):
                tensors[f"{layer.name}.bn.{part}"] = generator.uniform(low, high, filters).astype(np.float32)
    return tensors


@pytest.fixture(scope="module")
def extractor(tensors: dict[str, np.ndarray]) -> InceptionExtractor:
    return InceptionExtractor(Weights("sha256-test", tensors), "legacy_tensorflow")


def test_the_layers_match_the_weight_file(network: Any, tensors: dict[str, np.ndarray]) -> None:
    """The digest is that of the tensors' names in pytorch-fid's file, without its counters."""
    assert network.output_shape == (None, 2048)
    assert len(tensors) == 472
    names = hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()
    assert names == "ed87dd0f166ade6855a6d284ee17fb1bc768f59db1b37c53afed23d5c199e182"


def test_the_first_layer_equals_a_computation_by_hand(tensors: dict[str, np.ndarray]) -> None:
    """Computes the first output pixel of the first layer, including batch normalisation."""
    import keras

    whole = build_network()
    load_tensors(whole, tensors)
    layer = keras.Model(whole.input, whole.get_layer("Conv2d_1a_3x3").output)
    image = np.random.default_rng(1).uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)
    name = "Conv2d_1a_3x3"
    raw = np.einsum("oihw,hwi->o", tensors[f"{name}.conv.weight"].astype(np.float64), image[0, :3, :3])
    mean, variance = tensors[f"{name}.bn.running_mean"], tensors[f"{name}.bn.running_var"]
    normal = (raw - mean) / np.sqrt(variance + 0.001) * tensors[f"{name}.bn.weight"] + tensors[f"{name}.bn.bias"]
    found = np.asarray(layer(image))
    assert found.shape == (1, 149, 149, 32)
    np.testing.assert_allclose(found[0, 0, 0], np.maximum(normal, 0), rtol=1e-5, atol=1e-6)


def test_features_have_2048_numbers_and_do_not_depend_on_the_batch(extractor: InceptionExtractor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (35, 16, 20, 1), dtype=np.uint8)
    features = extractor(images)
    assert (features.shape, features.dtype) == ((35, 2048), np.float32)
    assert (extractor.name, extractor.digest, extractor.size, extractor.resize) == (
        "inception_unverified",  # only the published file's scores may be called FID
        "sha256-test",
        2048,
        "legacy_tensorflow",
    )
    np.testing.assert_array_equal(extractor(np.repeat(images[:2], 3, axis=-1)), extractor(images[:2]))
    # The features of an image do not depend on its batch.
    for picked in (slice(0, 1), slice(30, 35)):
        np.testing.assert_allclose(extractor(images[picked]), features[picked], atol=1e-5 * features.max())
    assert np.abs(features[0] - features[1]).max() > 0.01 * features.max()


def test_class_probabilities_leave_out_the_bias(extractor: InceptionExtractor, tensors: dict[str, np.ndarray]) -> None:
    features = np.random.default_rng(0).uniform(0, 1, (3, 2048)).astype(np.float32)
    exponentials = np.exp(features.astype(np.float64) @ tensors["fc.weight"].T)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(extractor.probabilities(features), expected, rtol=1e-4)
    assert np.isfinite(extractor.probabilities(features * 1e4)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Mixed_5b.branch1x1.bn.bias": None}, "471 tensors, wrong or missing: Mixed_5b.branch1x1.bn.bias"),
        ({"AuxLogits.fc.weight": np.zeros(3, np.float32)}, "473 tensors, wrong or missing: AuxLogits.fc.weight"),
        ({"fc.weight": np.zeros((1000, 2048), np.float32)}, "wrong or missing: fc.weight"),
        ({"fc.bias": np.full(1008, np.nan, np.float32)}, "wrong or missing: fc.bias"),
    ],
)
def test_incompatible_weights_are_refused(
    network: Any, tensors: dict[str, np.ndarray], change: dict[str, np.ndarray | None], message: str
) -> None:
    changed = {name: tensor for name, tensor in (tensors | change).items() if tensor is not None}
    with pytest.raises(InvalidInput, match=f"2015-12-05 Inception network: 472 finite tensors.*{message}"):
        load_tensors(network, changed)


def test_resize_legacy_tensorflow_equals_tensorflow_1() -> None:
    import tensorflow as tf

    images = np.random.default_rng(0).integers(0, 256, (2, 37, 311, 3), dtype=np.uint8)
    theirs = tf.compat.v1.image.resize_bilinear(images, (299, 299), align_corners=False, half_pixel_centers=False)
    np.testing.assert_array_equal(resize(images, "legacy_tensorflow"), (theirs - 128) / 128)


def test_resizing_equals_a_computation_by_hand() -> None:
    """Resizes a step from 0 to 255 between two columns to 299 columns."""
    images = np.zeros((1, 4, 2, 1), np.uint8)
    images[:, :, 1] = 255
    columns = np.arange(299)
    legacy = np.minimum(columns * 2 / 299, 1) * 255
    np.testing.assert_allclose(resize(images, "legacy_tensorflow")[0, 0, :, 0] * 128 + 128, legacy, atol=1e-3)
    centred = np.clip((columns + 0.5) * 2 / 299 - 0.5, 0, 1) * 2 - 1
    np.testing.assert_allclose(resize(images, "legacy_pytorch")[0, 0, :, 2], centred, atol=1e-5)
    clean = resize(images, "clean").numpy()[0, 0, :, 1]
    assert (clean[:60].max(), clean[-60:].min()) == (-1, 127 / 128)  # bicubic interpolation overshoots and is clipped
    np.testing.assert_allclose(clean[149], (127.5 - 128) / 128, atol=1e-5)


@pytest.mark.parametrize("mode", ["legacy_tensorflow", "legacy_pytorch", "clean"])
def test_invalid_images_are_refused(mode: str) -> None:
    for images in (np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 4), np.uint8)):
        with pytest.raises(InvalidInput, match=r"must be uint8 of shape \[B, H, W, 1 or 3\]"):
            resize(images, mode)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"one of legacy_tensorflow, legacy_pytorch, clean\. Received: 'nearest'"):
        resize(np.zeros((1, 8, 8, 3), np.uint8), "nearest")


WEIGHTS, CIFAR_10 = os.environ.get("INCEPTION_WEIGHTS"), os.environ.get("CIFAR_10_BINARY")


@pytest.mark.skipif(
    not (WEIGHTS and CIFAR_10),
    reason="needs INCEPTION_WEIGHTS, pytorch-fid's file, and CIFAR_10_BINARY, the folder cifar-10-batches-bin",
)
def test_cifar_10_has_its_published_distance(tmp_path: Path) -> None:
    """The FID of the first 5,000 training and test images is 10.3233274, as in torch-fidelity's tests."""
    extractor = InceptionExtractor(load_weights(INCEPTION, str(WEIGHTS), tmp_path), "legacy_tensorflow")
    sides = []
    for name in ("data_batch_1.bin", "test_batch.bin"):
        records = np.fromfile(Path(str(CIFAR_10)) / name, np.uint8).reshape(-1, 1 + 3 * 32 * 32)[:5000]
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        statistics = GaussianStatistics(extractor.size)
        for start in range(0, len(images), 250):
            statistics.update(extractor(images[start : start + 250]))
        sides += [statistics.mean, statistics.covariance]
    assert frechet_distance(*sides) == pytest.approx(10.3233274, abs=1e-4)

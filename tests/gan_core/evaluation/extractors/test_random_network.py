"""Tests the untrained extractor: its weights are fixed, and distances grow as images are degraded."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import blobs

from gan_core.evaluation.extractors.features import extract
from gan_core.evaluation.extractors.random_network import RandomExtractor
from gan_core.evaluation.metrics.frechet import frechet_distance
from gan_core.representation import to_network


@pytest.fixture(scope="module")
def extractor() -> RandomExtractor:
    return RandomExtractor()


def test_the_weights_of_this_version_are_unchanged(extractor: RandomExtractor) -> None:
    """A change of the network or of numpy's generator changes the digest, because scores are then not comparable."""
    assert extractor.digest == "sha256-ea886ccd54bafb72da0dca72c6e0642ac1992a18210fe5a9d3e6da3fb22cae6d"
    assert (extractor.name, extractor.size, extractor.resize, extractor.accuracy) == (
        "random",
        128,
        "antialiased_64",
        None,
    )


def test_features_equal_a_computation_by_hand(extractor: RandomExtractor) -> None:
    """Convolves a grey image of the network's own size pixel by pixel."""
    from gan_core.evaluation.extractors.random_network import _draw_weights

    image = np.random.default_rng(0).integers(0, 256, (64, 64, 1), np.uint8)
    *kernels, projection = _draw_weights()
    x = np.repeat(image, 3, axis=-1).astype(np.float64) / 127.5 - 1
    for kernel in kernels:
        padded = np.pad(x, ((0, 1), (0, 1), (0, 0)))  # SAME at stride 2 pads the end of an even side
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
        x = np.maximum(np.einsum("hwcij,ijco->hwo", patches, kernel), 0)
    found = extractor(image[None])
    assert (found.shape, found.dtype) == ((1, 128), np.float32)
    np.testing.assert_allclose(found[0], x.reshape(-1) @ projection, rtol=1e-4, atol=1e-4)


def test_images_of_any_size_and_colour_are_accepted_and_the_batch_has_no_effect(extractor: RandomExtractor) -> None:
    for side, channels in ((16, 1), (28, 3), (100, 3)):
        images = blobs(5, side, channels)
        features = extractor(images)
        np.testing.assert_allclose(extractor(images[3:4]), features[3:4], atol=1e-5)
        np.testing.assert_allclose(extractor(np.repeat(images[..., :1], 3, axis=-1)), features, atol=1e-5)


@pytest.mark.parametrize(("side", "channels"), [(16, 1), (100, 3)])
def test_features_of_levels_are_the_same_and_have_gradients(
    extractor: RandomExtractor, side: int, channels: int
) -> None:
    import tensorflow as tf

    images = blobs(2, side, channels)
    levels = tf.constant(to_network(images, symbols=0))
    with tf.GradientTape() as tape:
        tape.watch(levels)
        features = extractor.of_levels(levels)
    np.testing.assert_allclose(features, extractor(images), atol=1e-5)
    assert (np.abs(tape.gradient(features, levels)).max((1, 2)) > 0).all()


def test_the_distance_grows_with_noise_and_with_missing_variety(extractor: RandomExtractor) -> None:
    images = blobs(600, 16)
    noise = np.random.default_rng(0).normal(0, 1, (300, 16, 16, 1))

    def distance(changed: np.ndarray) -> float:
        sides = extract(extractor, [images[:300]]), extract(extractor, [changed])
        return frechet_distance(*(part for side in sides for part in (side.mean, side.covariance)))

    noisy = [np.clip(images[300:] + scale * noise, 0, 255).astype(np.uint8) for scale in (0, 10, 40)]
    distances = [distance(changed) for changed in noisy]
    assert distances == sorted(distances)
    assert distance(np.repeat(images[300:310], 30, axis=0)) > 2 * distances[0]

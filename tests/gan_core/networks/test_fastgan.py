import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from network_checks import (
    SIDES,
    check_architecture,
    check_labels,
    check_mixed_precision,
    check_saving,
    check_seed,
    discriminator_of,
    draws,
    generator_of,
    images_of,
    numbers,
)

from gan_core.networks import fastgan


@pytest.mark.parametrize("sides", SIDES)
def test_both_networks_have_the_shape_of_the_images(sides):
    check_architecture(fastgan, sides, normalization="batch", largest=1.0)


@pytest.fixture
def zero_kernels(monkeypatch):
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype: tf.zeros(shape))


def gated(inputs, outputs):
    return 9 * inputs * 2 * outputs + 2 * 2 * outputs


def excitation(inputs, outputs):
    return 16 * inputs * outputs + outputs**2


def block(inputs, outputs):
    return 16 * inputs * outputs + 9 * outputs**2 + inputs * outputs + 6 * outputs


def test_the_generator_has_the_published_widths_for_256_pixels(zero_kernels):
    """The sum over the layers of the authors' models.py, without those that the module's docstring leaves out."""
    generator = generator_of(fastgan, (256, 256, 3), latent_size=256, width=32, growth=32)
    widths = [1024, 512, 256, 128, 128, 64, 32]  # from 4 to 256 pixels
    expected = 16 * 256 * 2 * 1024 + 2 * 2 * 1024
    expected += sum(gated(a, b) for a, b in itertools.pairwise(widths))
    expected += sum(gated(b, b) for b in (512, 128, 64))
    expected += excitation(1024, 128) + excitation(512, 64) + excitation(256, 32) + 9 * 32 * 3
    assert numbers(generator.trainable_variables) == expected == 29_127_648


@pytest.mark.parametrize("resolution", [256, 512])
def test_the_discriminator_has_the_published_widths(resolution, zero_kernels):
    discriminator = discriminator_of(fastgan, (resolution, resolution, 3), width=16, growth=64)
    widths = [16, 32, 64, 128, 256, 512]  # from 256 to 8 pixels
    expected = (9 if resolution == 256 else 16) * 3 * 16 + sum(block(a, b) for a, b in itertools.pairwise(widths))
    expected += excitation(16, 128) + excitation(32, 256) + excitation(64, 512)
    expected += 512 * 1024 + 2 * 1024 + 16 * 1024 + 1  # the published last layer has no bias
    for features in (512, 256):  # the decoders
        expected += gated(features, 128) + gated(128, 64) + gated(64, 64) + gated(64, 32) + 9 * 32 * 3
    assert numbers(discriminator.trainable_variables) == expected


def test_each_channel_is_multiplied_by_a_gate_that_another_map_determines():
    generator = generator_of(fastgan, (64, 64, 3))
    (product,) = [layer for layer in generator.layers if isinstance(layer, keras.layers.Multiply)]
    first = next(layer for layer in generator.layers if isinstance(layer, keras.layers.UpSampling2D))
    convolutions = [layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)]
    to_gate, last = (layer.kernel.numpy() for layer in convolutions if layer.kernel.shape[:2] in ((4, 4), (1, 1)))
    assert first.input.shape == (None, 4, 4, 32)
    assert product.output.shape == (None, 64, 64, 4)
    values = keras.Model(generator.input, [first.input, product.input[0], product.output])
    source, before, after = (array.numpy() for array in values(draws((3, 5), 1)))
    hidden = np.einsum("bhwc,hwcd->bd", source, to_gate)
    hidden = hidden / (1 + np.exp(-hidden)) @ last[0, 0]
    np.testing.assert_allclose(after, before / (1 + np.exp(-hidden[:, None, None])), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("sides", "excited"), [((16, 16), 1), ((32, 32), 1), ((64, 64), 1), ((128, 128), 2)])
def test_small_images_are_excited_too(sides, excited):
    generator = generator_of(fastgan, (*sides, 1), width=2, growth=2)
    assert sum(isinstance(layer, keras.layers.Multiply) for layer in generator.layers) == excited


def test_the_logit_is_the_mean_of_the_logits_of_all_windows():
    discriminator = discriminator_of(fastgan, (64, 64, 3))
    images = draws((2, 64, 64, 3), 3)
    pooling = discriminator._features.layers[-2]
    maps = keras.Model(discriminator._features.input, pooling.input)(images, training=True).numpy()
    kernel = discriminator._linear.kernel.numpy().reshape(4, 4, -1)
    windows = np.lib.stride_tricks.sliding_window_view(maps, (4, 4), axis=(1, 2))
    logits = np.einsum("bijcyx,yxc->bij", windows, kernel)
    assert logits.shape == (2, 5, 5)
    np.testing.assert_allclose(discriminator(images, None, None), logits.mean(axis=(1, 2)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "decoded"), [((16, 16), (8, 8)), ((28, 28), (14, 14)), ((64, 64), (32, 32)), ((128, 32), (64, 16))]
)
def test_the_decoders_should_return_the_whole_image_and_a_quarter_of_it(sides, decoded):
    height, width = sides
    images = draws((4, *sides, 3), 4)
    discriminator = discriminator_of(fastgan, (*sides, 3), width=2)
    logits, ((whole, first), (part, second)) = discriminator.with_reconstructions(
        images, None, None, tf.constant([0, 1, 2, 3])
    )
    np.testing.assert_allclose(logits, discriminator(images, None, None), rtol=1e-5, atol=1e-6)
    assert first.shape == second.shape == whole.shape == part.shape == (4, *decoded, 3)
    assert first.dtype == second.dtype == tf.float32
    by_pixel = images.numpy().reshape(4, decoded[0], height // decoded[0], decoded[1], width // decoded[1], 3)
    np.testing.assert_allclose(whole, by_pixel.mean(axis=(2, 4)), rtol=1e-5, atol=1e-6)
    for number, (rows, columns) in enumerate(
        (slice(side * height // 2, (side + 1) * height // 2), slice(half * width // 2, (half + 1) * width // 2))
        for side in (0, 1)
        for half in (0, 1)
    ):
        np.testing.assert_array_equal(part[number], images[number, rows, columns])


def test_images_of_512_pixels_are_reconstructed_with_128():
    discriminator = discriminator_of(fastgan, (512, 512, 1), width=1, growth=1)
    _, pairs = discriminator.with_reconstructions(draws((1, 512, 512, 1), 5), None, None, tf.constant([3]))
    assert [array.shape for pair in pairs for array in pair] == 4 * [(1, 128, 128, 1)]


def test_images_depend_on_the_latents_alone():
    generator = generator_of(fastgan, (32, 32, 3), classes=3)
    np.testing.assert_array_equal(images_of(generator, 3, training=True), images_of(generator, 3, training=True))


def test_weights_depend_only_on_the_seed():
    check_seed(fastgan, normalization="batch")


@pytest.mark.parametrize("classes", [0, 10])
def test_the_generator_is_restored_in_safe_mode(classes):
    check_saving(fastgan, classes=classes)


def test_float16_differs_by_its_rounding():
    check_mixed_precision(fastgan, normalization="batch")


def test_a_label_changes_images_and_logits():
    check_labels(fastgan, normalization="batch")

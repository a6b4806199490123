import numpy as np
import pytest
import tensorflow as tf
from network_checks import (
    SIDES,
    check_architecture,
    check_labels,
    check_mixed_precision,
    check_saving,
    check_second_derivatives,
    check_seed,
    discriminator_of,
    draws,
    generator_of,
    numbers,
)

from gan_core.networks import resnet


@pytest.mark.parametrize("sides", SIDES)
def test_both_networks_have_the_shape_of_the_images(sides):
    check_architecture(resnet, sides, normalization="spectral", largest=1)


def test_the_numbers_of_parameters_at_32_pixels_are_the_published_ones():
    # Table 4: dense to 4·4·256, three blocks of 256 channels (batch norm, two 3×3, a 1×1), a 3×3 to the image.
    generator = generator_of(resnet, (32, 32, 3), latent_size=128, width=256, growth=1)
    block = 2 * (9 * 256 * 256 + 256) + 256 * 256
    expected = 129 * 4 * 4 * 256 + 3 * block + 256 + 9 * 256 * 3 + 3
    assert numbers(generator.trainable_variables) == expected
    # Table 4: blocks of 128 channels, halving, halving, plain, plain; a dense layer on the sum of the pixels.
    discriminator = discriminator_of(resnet, (32, 32, 3), width=128, growth=1, normalization="spectral")
    convolution, shortcut = 9 * 128 * 128 + 128, 128 * 128 + 128
    expected = (9 * 3 * 128 + 128 + convolution + 3 * 128 + 128) + (2 * convolution + shortcut) + 4 * convolution + 129
    assert numbers(discriminator.trainable_variables) == expected
    # A vector for each of the ten convolutions and one for the dense layer.
    assert numbers(discriminator.weights) == expected + 10 * 128 + 1


def test_depth_adds_blocks_at_the_same_resolutions():
    # The width is 4 at 16 pixels and 8 at 8 pixels. A plain block has two 3×3 convolutions and a shift per channel.
    one, two = (numbers(generator_of(resnet, (16, 16, 1), depth=depth).trainable_variables) for depth in (1, 2))
    assert two - one == 2 * (9 * 4 * 4 + 4) + 2 * (9 * 8 * 8 + 8)
    # The discriminator has width 4 in one block and 8 in two, with biases for shifts.
    one, two = (
        numbers(discriminator_of(resnet, (16, 16, 1), depth=depth, normalization="none").weights) for depth in (1, 2)
    )
    assert two - one == 2 * (9 * 4 * 4 + 4) + 4 * (9 * 8 * 8 + 8)


def test_every_batch_norm_has_a_scale_and_a_shift_for_each_class():
    generator = generator_of(resnet, (16, 16, 1), classes=3, width=8, growth=1)
    latents = draws((2, 5), 1)
    first, second = (generator([latents, tf.constant([0, label])], training=True).numpy() for label in (0, 1))
    # At the start every class scales by 1 and shifts by 0.
    np.testing.assert_allclose(first, second, atol=1e-6)
    scales = [v for v in generator.trainable_variables if v.shape == (3, 8) and np.all(v.numpy() == 1)]
    assert len(scales) == 4
    for scale in scales:
        value = scale.numpy()
        scale.assign(value + np.array([[0], [1], [0]]))
        images = generator([latents, tf.constant([0, 1])], training=True).numpy()
        assert np.abs(images[1] - second[1]).max() > 1e-3
        scale.assign(value)


def test_the_spectral_norm_makes_logits_independent_of_the_scale_of_the_kernels():
    # Every kernel is divided by its norm.
    discriminator = discriminator_of(resnet, (16, 16, 1), normalization="spectral")
    images = draws((2, 16, 16, 1), 1)
    for _ in range(20):
        discriminator(images, None, None)
    before = discriminator(images, None, None).numpy()
    for variable in discriminator.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(variable * 7.0)
    np.testing.assert_allclose(discriminator(images, None, None), before, rtol=0.02, atol=0.02)


def test_weights_depend_only_on_the_seed():
    check_seed(resnet, normalization="spectral")


@pytest.mark.parametrize("classes", [0, 10])
def test_the_generator_is_restored_in_safe_mode(classes):
    check_saving(resnet, classes=classes)


@pytest.mark.parametrize("normalization", ["spectral", "none"])
def test_float16_differs_by_its_rounding(normalization):
    check_mixed_precision(resnet, normalization=normalization)


@pytest.mark.parametrize("normalization", ["spectral", "none"])
def test_the_penalties_have_gradients(normalization):
    check_second_derivatives(resnet, normalization=normalization)


def test_a_label_changes_images_and_logits():
    check_labels(resnet, normalization="spectral")

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
    check_second_derivatives,
    check_seed,
    discriminator_of,
    draws,
    generator_of,
    numbers,
)

from gan_core.networks import dcgan


@pytest.mark.parametrize("sides", SIDES)
def test_both_networks_have_the_shape_of_the_images(sides):
    check_architecture(dcgan, sides, normalization="batch", largest=1)


def test_the_numbers_of_parameters_equal_those_computed_by_hand():
    # Dense 64 → 7·7·64, 4×4 convolutions 64 → 32 → 1; a shift for each normalised channel, a bias at the end.
    generator = generator_of(dcgan, (28, 28, 1), latent_size=64, width=32)
    assert numbers(generator.trainable_variables) == 64 * 7 * 7 * 64 + 64 + 16 * 64 * 32 + 32 + 16 * 32 + 1
    # 4×4 convolutions 1 → 32 with a bias and 32 → 64 with a shift, then 7·7·64 features and a bias.
    discriminator = discriminator_of(dcgan, (28, 28, 1), width=32)
    learned = 16 * 32 + 32 + 16 * 32 * 64 + 64 + 7 * 7 * 64 + 1
    assert numbers(discriminator.trainable_variables) == learned
    # Without batch norm a bias takes the shift's place, and no statistics are kept.
    plain = discriminator_of(dcgan, (28, 28, 1), width=32, normalization="none")
    assert numbers(plain.trainable_variables) == numbers(plain.weights) == learned
    # The spectral norm keeps one more number for each channel of a layer.
    spectral = discriminator_of(dcgan, (28, 28, 1), width=32, normalization="spectral")
    assert numbers(spectral.trainable_variables) == learned
    assert numbers(spectral.weights) == learned + 32 + 64 + 1
    # Each of the ten classes has a smallest map in the generator, and 7·7·64 numbers in the projection.
    conditional = generator_of(dcgan, (28, 28, 1), latent_size=64, width=32, classes=10)
    assert numbers(conditional.weights) - numbers(generator.weights) == 10 * 7 * 7 * 64
    conditional = discriminator_of(dcgan, (28, 28, 1), width=32, classes=10)
    assert numbers(conditional.weights) - numbers(discriminator.weights) == 10 * 7 * 7 * 64


@pytest.mark.parametrize("normalization", ["batch", "spectral", "none"])
def test_depth_adds_layers_at_the_same_resolutions(normalization):
    # At 7 and 14 pixels, with 64 and 32 channels, there is one more 3×3 convolution with a shift or a bias per channel.
    more = 9 * 64 * 64 + 64 + 9 * 32 * 32 + 32
    for network_of, options in ((generator_of, {}), (discriminator_of, {"normalization": normalization})):
        networks = [network_of(dcgan, (28, 28, 1), width=32, depth=depth, **options) for depth in (1, 2, 3)]
        counts = [numbers(network.trainable_variables) for network in networks]
        assert counts == [counts[0], counts[0] + more, counts[0] + 2 * more]
    check_architecture(dcgan, (28, 28), normalization=normalization, largest=1, depth=2)


def test_the_channels_stop_growing_at_the_limit():
    generator = generator_of(dcgan, (256, 256, 3), width=2, growth=4)
    channels = [layer.filters for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert channels == [8, 8, 8, 4, 2, 3]


def test_weights_depend_only_on_the_seed():
    check_seed(dcgan, normalization="batch")


def test_the_mask_multiplies_the_features():
    images = draws((4, 16, 16, 1), 1)
    whole = discriminator_of(dcgan, (16, 16, 1), dropout=0.0, seed=3)
    assert whole.dropout_features == 0
    dropping = discriminator_of(dcgan, (16, 16, 1), dropout=0.4, seed=3)
    assert dropping.dropout_features == 4 * 4 * 8
    logits = whole(images, None, None).numpy()
    ones = np.ones((4, dropping.dropout_features), np.float32)
    np.testing.assert_array_equal(dropping(images, None, ones), logits)
    # A logit is linear in its features, so the logits of two complementary masks add up to the whole logit.
    odd = np.arange(ones.size).reshape(ones.shape) % 2
    parts = [dropping(images, None, mask.astype(np.float32)).numpy() for mask in (odd, 1 - odd)]
    assert np.abs(parts[0] - logits).min() > 1e-4
    np.testing.assert_allclose(parts[0] + parts[1], logits, atol=1e-5)
    # Each image has its own mask. Clearing the second one leaves only the bias, which is 0.
    ones[1] = 0
    np.testing.assert_allclose(dropping(images, None, ones), logits * [1, 0, 1, 1], atol=1e-6)


def test_the_projection_multiplies_the_features_by_the_weights_of_the_class():
    network = discriminator_of(dcgan, (16, 16, 1), classes=3, dropout=0.4, normalization="none")
    images, labels = draws((3, 16, 16, 1), 2), np.array([2, 0, 2], np.int32)
    *_, linear, bias, projection = (variable.numpy() for variable in network.weights)
    # A logit under the mask of feature i alone is φ(x)ᵢ times that feature's weight, plus the bias.
    for feature in (0, 17, 127):
        mask = np.zeros((3, network.dropout_features), np.float32)
        mask[:, feature] = 1
        weights = linear[feature, 0] + projection[labels, feature]
        values = (network(images, labels, mask).numpy() - bias) / weights
        others = (network(images, labels[::-1] * 0 + 1, mask).numpy() - bias) / (
            linear[feature, 0] + projection[1, feature]
        )
        np.testing.assert_allclose(values, others, rtol=1e-4, atol=1e-6)


def test_the_class_does_not_change_the_variance_of_the_latents():
    generator = generator_of(dcgan, (16, 16, 1), classes=3)
    add = next(layer for layer in generator.layers if isinstance(layer, keras.layers.Add))
    kernel = next(variable for variable in generator.trainable_variables if variable.shape[0] == 3)
    assert 0.9 < kernel.numpy().std() < 1.1
    kernel.assign(100 * kernel)
    maps = keras.Model(generator.inputs, add.output)([draws((500, 5), 1), tf.fill((500,), 2)], training=True)
    spread = np.square(maps - maps.numpy().mean(axis=0)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(spread, 1, atol=0.05)


@pytest.mark.parametrize("classes", [0, 10])
def test_the_generator_is_restored_in_safe_mode(classes):
    check_saving(dcgan, classes=classes)


@pytest.mark.parametrize("normalization", ["batch", "spectral", "none"])
def test_float16_differs_by_its_rounding(normalization):
    check_mixed_precision(dcgan, normalization=normalization)


@pytest.mark.parametrize("normalization", ["spectral", "none"])
def test_the_penalties_have_gradients(normalization):
    check_second_derivatives(dcgan, normalization=normalization)


def test_a_label_changes_images_and_logits():
    check_labels(dcgan, normalization="batch")

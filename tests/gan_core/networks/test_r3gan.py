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

from gan_core.networks import r3gan


@pytest.mark.parametrize("sides", SIDES)
def test_both_networks_have_the_shape_of_the_images(sides):
    check_architecture(r3gan, sides, normalization="none", largest=None)


@pytest.mark.parametrize(
    ("resolution", "width", "growth", "classes", "millions"),
    [
        (32, 768, 1, 0, ("20.73", "20.68")),  # Stacked MNIST
        (32, 768, 1, 10, ("20.78", "21.28")),  # CIFAR-10
        (64, 384, 2, 0, ("22.43", "22.38")),  # FFHQ at 64 pixels
        (256, 96, 8, 0, ("23.06", "23.01")),  # FFHQ at 256 pixels
    ],
)
def test_the_networks_have_the_published_numbers_of_parameters(
    resolution, width, growth, classes, millions, monkeypatch
):
    """Huang et al. 2025, arXiv 2501.05441, table 9."""
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype: tf.zeros(shape))
    shape, options = (resolution, resolution, 3), {"width": width, "growth": growth, "depth": 2, "classes": classes}
    networks = generator_of(r3gan, shape, latent_size=64, **options), discriminator_of(r3gan, shape, **options)
    assert tuple(f"{numbers(network.trainable_variables) / 1e6:.2f}" for network in networks) == millions
    assert all(numbers(network.weights) == numbers(network.trainable_variables) for network in networks)


def test_a_block_has_its_own_initial_variance_and_starts_as_the_identity():
    shape, depth, width = (16, 16, 3), 3, 32
    generator = generator_of(r3gan, shape, width=width, growth=1, depth=depth)
    adds = [layer for layer in generator.layers if isinstance(layer, keras.layers.Add)]
    assert len(adds) == 9  # at 4, 8 and 16 pixels
    values = keras.Model(generator.input, [tensor for add in adds for tensor in (add.input[0], add.output)])
    for before, after in np.array_split(np.arange(18), 9):
        outputs = values(draws((4, 5), 1))
        np.testing.assert_array_equal(outputs[before], outputs[after])
    # He's standard deviation for a slope of 0.2, times 9^(−1/4) for the 9 blocks. Inputs: 32, and 16 channels of 3×3.
    for kernels, inputs in (((1, 1, 32, 64), 32), ((3, 3, 16, 64), 9 * 16)):
        drawn = np.concatenate([v.numpy().ravel() for v in generator.weights if v.shape == kernels])
        assert drawn.std() == pytest.approx(np.sqrt(2 / 1.04 / inputs) * 9**-0.25, rel=0.02)


def test_activations_have_the_variance_of_the_latents_at_any_depth():
    latents = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    for depth in (1, 4):
        generator = generator_of(r3gan, (32, 32, 3), latent_size=64, width=64, growth=4, depth=depth)
        images = generator(latents).numpy()
        # Only the interpolation between independent pixels reduces the variance.
        assert 0.1 < images.std() < 1.2
        basis = keras.Model(generator.input, generator.layers[2].output)(latents).numpy()
        assert basis.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("classes", [0, 10])
def test_logits_have_the_variance_of_the_colours(classes):
    """Uses images of one colour, because resampling does not change them, and averages over networks."""
    rng = np.random.default_rng(0)
    images = np.broadcast_to(rng.normal(size=(64, 1, 1, 3)), (64, 16, 16, 3)).astype(np.float32)
    labels = tf.constant(rng.integers(0, 10, 64)) if classes else None
    squares = [
        np.mean(discriminator_of(r3gan, (16, 16, 3), width=64, classes=classes, seed=seed)(images, labels, None) ** 2)
        for seed in range(24)
    ]
    assert np.mean(squares) == pytest.approx(1, abs=4 * np.std(squares) / np.sqrt(24))
    assert np.std(squares) < 2


def test_halving_is_the_transpose_of_bilinear_doubling():
    small, large = draws((2, 5, 5, 3), 1), draws((2, 10, 10, 3), 2)
    doubled = keras.layers.UpSampling2D(interpolation="bilinear")(small)
    halved = r3gan._BilinearHalving()(large)
    np.testing.assert_allclose(tf.reduce_sum(doubled * large), 4 * tf.reduce_sum(small * halved), rtol=1e-4)
    np.testing.assert_allclose(r3gan._BilinearHalving()(tf.ones((1, 8, 8, 1))), np.ones((1, 4, 4, 1)), rtol=1e-6)


def test_the_generator_does_not_end_with_a_nonlinearity():
    generator = generator_of(r3gan, (16, 16, 1))
    latents = draws((2, 5), 1)
    # Every block starts as the identity, so images are linear in the latents.
    np.testing.assert_allclose(generator(100 * latents), 100 * generator(latents), rtol=1e-3, atol=1e-3)


def test_weights_depend_only_on_the_seed():
    check_seed(r3gan, normalization="none")


@pytest.mark.parametrize("classes", [0, 10])
def test_the_generator_is_restored_in_safe_mode(classes):
    check_saving(r3gan, classes=classes)


def test_bfloat16_differs_by_its_rounding():
    check_mixed_precision(r3gan, normalization="none", half="bfloat16", tolerance=0.16)


def test_a_label_changes_images_and_logits():
    check_labels(r3gan, normalization="none")


def test_the_penalties_have_gradients():
    check_second_derivatives(r3gan, normalization="none")

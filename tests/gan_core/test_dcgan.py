import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.networks import dcgan
from gan_core.networks.shapes import RESOLUTIONS


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_both_networks_fit_the_images(resolution, channels):
    shape = (resolution, resolution, channels)
    images = dcgan.build_generator(shape, latent_size=5, width=2, seed=0)(tf.random.stateless_normal((2, 5), (1, 2)))
    assert images.shape == (2, *shape)
    assert float(tf.reduce_max(tf.abs(images))) <= 1
    assert dcgan.Discriminator(shape, width=2, dropout=0.5, seed=0)(images, (0, 0)).shape == (2,)


def test_the_parameters_of_the_default_shape_are_those_worked_out_by_hand():
    # Dense 64 → 7·7·64, 4×4 convolutions 64 → 32 → 1; a shift for each normalised channel, a bias at the end.
    generator = dcgan.build_generator((28, 28, 1), latent_size=64, width=32, seed=0)
    learned = 64 * 7 * 7 * 64 + 64 + 16 * 64 * 32 + 32 + 16 * 32 + 1
    assert sum(int(np.prod(v.shape)) for v in generator.trainable_variables) == learned
    # 4×4 convolutions 1 → 32 with a bias, 32 → 64 with a shift, then 7·7·64 features and a bias.
    discriminator = dcgan.Discriminator((28, 28, 1), width=32, dropout=0.4, seed=0)
    learned = 16 * 32 + 32 + 16 * 32 * 64 + 64 + 7 * 7 * 64 + 1
    assert sum(int(np.prod(v.shape)) for v in discriminator.trainable_variables) == learned


def test_the_channels_stop_growing_at_eight_times_the_width():
    generator = dcgan.build_generator((256, 256, 3), latent_size=4, width=2, seed=0)
    channels = [layer.filters for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert channels == [16, 16, 8, 4, 2, 3]


def test_weights_depend_on_the_seed_alone():
    first, same, other = (dcgan.build_generator((16, 16, 1), 4, 4, seed).get_weights() for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
    kernels = [w for w in first if w.ndim > 1]
    assert all(abs(w.mean()) < 0.1 and w.std() > 0 for w in kernels)


def test_dropout_is_decided_by_its_seed_and_keeps_the_expectation():
    images = tf.random.stateless_normal((4, 16, 16, 1), (1, 2))
    dropping = dcgan.Discriminator((16, 16, 1), width=4, dropout=0.4, seed=3)
    whole = dcgan.Discriminator((16, 16, 1), width=4, dropout=0.0, seed=3)(images, (0, 0)).numpy()
    np.testing.assert_array_equal(dropping(images, (5, 6)), dropping(images, (5, 6)))
    draws = np.array([dropping(images, (5, number)).numpy() for number in range(300)])
    assert draws.std(axis=0).min() > 0
    np.testing.assert_allclose(draws.mean(axis=0), whole, atol=4 * draws.std(axis=0).max() / np.sqrt(300))


def test_the_generator_is_restored_in_safe_mode(tmp_path):
    generator = dcgan.build_generator((28, 28, 3), latent_size=4, width=4, seed=1)
    generator.save(tmp_path / "generator.keras")
    restored = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    latents = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(restored(latents), generator(latents))

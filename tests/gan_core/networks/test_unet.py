import keras
import numpy as np
import pytest
import tensorflow as tf
from network_checks import LATENT_SIZE, SIDES, discriminator_of, draws, numbers

from gan_core.networks import dcgan, unet


def generator_of(shape, **changes):
    options = {"latent_size": LATENT_SIZE, "width": 4, "growth": 8, "seed": 0}
    return unet.build_generator(shape, **{**options, **changes})


def arguments_of(shape):
    return [draws((2, LATENT_SIZE), 1), draws((2, *shape), 2)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", SIDES)
def test_images_have_the_shape_of_the_inputs(sides, channels):
    shape = (*sides, channels)
    images = generator_of(shape, width=2, growth=2)(arguments_of(shape))
    assert (images.shape, images.dtype) == ((2, *shape), tf.float32)
    assert np.abs(images).max() <= 1


def test_the_discriminator_reads_image_and_input_together():
    discriminator = discriminator_of(dcgan, (16, 16, 6), normalization="none")
    images, inputs, others = (draws((2, 16, 16, 3), seed) for seed in range(3))
    logits = discriminator(tf.concat([images, inputs], axis=3), None, None)
    assert logits.shape == (2,)
    assert np.abs(discriminator(tf.concat([images, others], axis=3), None, None) - logits).min() > 1e-3


def test_the_numbers_of_parameters_equal_those_computed_by_hand():
    generator = generator_of((28, 28, 3), latent_size=5, width=4, growth=8)
    # Down from 28 to 7 pixels: 3 → 4 channels with a bias, 4 → 8. Up: 8 + latents → 4, 4 + 4 (skip) → 3 with a bias.
    learned = 16 * 3 * 4 + 4 + 16 * 4 * 8 + 8 + 16 * (8 + 5) * 4 + 4 + 16 * 8 * 3 + 3
    assert numbers(generator.trainable_variables) == learned


def test_the_skips_pass_fine_detail_and_the_latents_change_the_image():
    shape = (64, 64, 1)
    generator = generator_of(shape)
    latents, inputs = arguments_of(shape)
    images = generator([latents, inputs]).numpy()
    # The finest skip connection carries a pixel's change mostly to its neighbourhood.
    touched = inputs.numpy()
    touched[:, 32, 32] += 1
    change = np.abs(generator([latents, tf.constant(touched)]).numpy() - images)[0, ..., 0]
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert abs(row - 32) <= 3
    assert abs(column - 32) <= 3
    assert np.abs(generator([latents[::-1], inputs]).numpy() - images).max() > 1e-3


def test_the_generator_is_restored_in_safe_mode(tmp_path):
    generator = generator_of((28, 28, 3))
    generator.save(tmp_path / "generator.keras")
    restored = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(restored(arguments_of((28, 28, 3))), generator(arguments_of((28, 28, 3))))


def test_float16_differs_by_its_rounding():
    exact, rounded = (
        generator_of((16, 16, 1), dtype=dtype)(arguments_of((16, 16, 1)), training=True)
        for dtype in ("float32", "mixed_float16")
    )
    assert rounded.dtype == tf.float32
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=0.02)

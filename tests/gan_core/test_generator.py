import numpy as np
import pytest
import tensorflow as tf
from generators import generator_metadata

from gan_core.errors import InvalidInput
from gan_core.generator import Generator
from gan_core.networks.dcgan import build_generator
from gan_core.sampling import draw_labels, draw_latents


def generator_of(**changes):
    """Returns an untrained generator with `changes` of its metadata."""
    metadata = generator_metadata(shape=(16, 16, 3), **changes)
    classes = len(metadata.classes)
    return Generator(
        build_generator(metadata.shape, latent_size=4, width=4, growth=8, depth=1, classes=classes, seed=0), metadata
    )


def test_samples_do_not_depend_on_the_batch_size_or_on_later_samples():
    generator = generator_of()
    images = generator.sample(7, seed=1)
    assert images.shape == (7, 16, 16, 3)
    assert images.dtype == np.uint8
    np.testing.assert_allclose(generator.sample(7, seed=1, batch_size=2), images, atol=1)
    np.testing.assert_allclose(generator.sample(3, seed=1), images[:3], atol=1)
    assert np.abs(generator.sample(7, seed=2).astype(int) - images).max() > 1


@pytest.fixture
def conditional():
    """Returns a generator of three classes."""
    return generator_of(classes=("a", "b", "c"), class_shares=(0.2, 0.3, 0.5))


def test_a_conditional_generators_labels_do_not_depend_on_the_batch_size(conditional):
    images = conditional.sample(9, seed=1)
    np.testing.assert_allclose(conditional.sample(9, seed=1, batch_size=2), images, atol=1)
    np.testing.assert_allclose(conditional.sample(4, seed=1), images[:4], atol=1)
    labels = draw_labels(9, (0.2, 0.3, 0.5), seed=1)
    np.testing.assert_array_equal(conditional.draw(draw_latents(9, 4, seed=1), labels), images)
    drawn = conditional.sample(9, seed=1, conditions=labels.__getitem__, batch_size=4)
    np.testing.assert_allclose(drawn, images, atol=1)
    others = conditional.sample(9, seed=1, conditions=((labels + 1) % 3).__getitem__)
    assert (np.abs(others.astype(int) - images).max(axis=(1, 2, 3)) > 1).all()


def test_a_paired_generator_gets_inputs_from_minus_1_to_1():
    metadata = generator_metadata(shape=(16, 16, 3), paired=True)
    shown = []

    def show(latents, inputs):
        shown.append((latents, inputs))
        return inputs

    generator = Generator(lambda arguments, training: tf.numpy_function(show, arguments, tf.float32), metadata)
    inputs = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(generator.sample(5, 2, conditions=inputs.__getitem__, batch_size=2), inputs)
    np.testing.assert_array_equal(np.concatenate([latents for latents, _ in shown]), draw_latents(5, 4, 2))
    assert shown[0][1].dtype == np.float32
    assert -1 <= shown[0][1].min() < -0.9
    assert 0.9 < shown[0][1].max() <= 1
    with pytest.raises(InvalidInput, match="needs input images"):
        generator.sample(5, 2)

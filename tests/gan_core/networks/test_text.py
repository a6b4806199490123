import keras
import numpy as np
import pytest
import tensorflow as tf
from network_checks import LATENT_SIZE, draws, images_of, numbers

from gan_core.networks import text

SHAPE = (12, 1, 6)


def generator_of(shape=SHAPE, **changes):
    options = {"latent_size": LATENT_SIZE, "width": 8, "depth": 2, "classes": 0, "seed": 0}
    return text.build_generator(shape, **{**options, **changes})


def discriminator_of(shape=SHAPE, **changes):
    options = {"width": 8, "depth": 2, "classes": 0, "dropout": 0.0, "seed": 0}
    return text.Discriminator(shape, **{**options, **changes})


def test_the_published_networks_have_the_layers_and_the_numbers_of_parameters_of_the_paper():
    # 32 places and 96 symbols; 128 latents, 512 channels, 5 blocks of two convolutions over 5 places.
    shape, width, symbols = (32, 1, 96), 512, 96
    blocks = 5 * 2 * (5 * width * width + width)
    generator = generator_of(shape, latent_size=128, width=width, depth=5)
    assert numbers(generator.weights) == 128 * 32 * width + 32 * width + blocks + width * symbols + symbols
    convolutions = [layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.kernel_size for layer in convolutions] == [(5, 1)] * 10 + [(1, 1)]
    discriminator = discriminator_of(shape, width=width, depth=5)
    assert numbers(discriminator.weights) == symbols * width + width + blocks + 32 * width + 1


@pytest.mark.parametrize("classes", [0, 3])
def test_texts_are_distributions_and_logits_are_numbers(classes):
    texts = images_of(generator_of(classes=classes), classes)
    assert (texts.shape, texts.dtype) == ((2, *SHAPE), tf.float32)
    assert np.min(texts) >= 0
    np.testing.assert_allclose(np.sum(texts, axis=3), 1, rtol=1e-6)
    discriminator = discriminator_of(classes=classes, dropout=0.5)
    assert discriminator.dropout_features == 12 * 8
    labels = tf.constant([0, 2]) if classes else None
    logits = discriminator(texts, labels, tf.ones((2, discriminator.dropout_features)))
    assert (logits.shape, logits.dtype) == ((2,), tf.float32)
    assert np.isfinite(logits).all()


def test_a_block_adds_three_tenths_of_its_convolutions_and_keeps_the_place():
    generator = generator_of(depth=1, width=4)
    first, second = (variable for variable in generator.weights if variable.shape[:2] == (5, 1))
    for kernel in (first, second):
        kernel.assign(np.concatenate([np.zeros((2, 1, 4, 4)), np.eye(4)[None, None], np.zeros((2, 1, 4, 4))]))
    reshape, add = (
        next(layer for layer in generator.layers if isinstance(layer, kind))
        for kind in (keras.layers.Reshape, keras.layers.Add)
    )
    before, after = keras.Model(generator.inputs, [reshape.output, add.output])(draws((3, LATENT_SIZE), 1))
    np.testing.assert_allclose(after, before + 0.3 * np.maximum(before, 0), rtol=1e-6)


def test_weights_depend_only_on_the_seed_and_every_kernel_differs():
    for build in (
        lambda seed: generator_of(classes=3, seed=seed).weights,
        lambda seed: discriminator_of(classes=3, seed=seed).weights,
    ):
        first, same, other = ([variable.numpy() for variable in build(seed)] for seed in (0, 0, 1))
        assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
        drawn = [(a, b) for a, b in zip(first, other, strict=True) if a.std() > 0]
        assert all(not np.array_equal(a, b) for a, b in drawn)
        assert len({a.ravel()[0] for a, _ in drawn}) == len(drawn)


def test_a_label_changes_texts_and_logits():
    generator, discriminator = generator_of(classes=3), discriminator_of(classes=3)
    latents, labels, others = draws((4, LATENT_SIZE), 1), tf.constant([0, 1, 2, 0]), tf.constant([1, 2, 0, 2])
    texts = generator([latents, labels])
    assert np.abs(texts - generator([latents, others])).max() > 1e-3
    logits = discriminator(texts, labels, None)
    assert np.abs(logits - discriminator(texts, others, None)).min() > 1e-4


@pytest.mark.parametrize("classes", [0, 3])
def test_the_generator_is_restored_in_safe_mode(classes, tmp_path):
    generator = generator_of(classes=classes)
    generator.save(tmp_path / "generator.keras")
    restored = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(images_of(restored, classes), images_of(generator, classes))

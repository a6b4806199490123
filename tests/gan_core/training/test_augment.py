import numpy as np
import pytest
import tensorflow as tf

from gan_core.training.augment import NUMBERS, POLICIES, augment

SHAPES = [(6, 16, 16, 3), (6, 28, 28, 1), (6, 9, 14, 3)]


def images_of(shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def uniforms_of(batch, seed=1):
    return np.random.default_rng(seed).uniform(size=(batch, NUMBERS)).astype(np.float32)


def augment_by_hand(image, policy, u, probability):
    """Augments one image, pixel by pixel."""
    x, (height, width, _) = image.astype(float), image.shape
    chosen = u[:5] < probability
    if "color" in policy:
        if chosen[0]:
            x = x + u[5] - 0.5
        if chosen[1]:
            grey = x.mean(axis=2, keepdims=True)
            x = grey + 2 * u[6] * (x - grey)
        if chosen[2]:
            x = x.mean() + (u[7] + 0.5) * (x - x.mean())
    if {"translation", "time_translation"} & set(policy) and chosen[3]:
        offsets = []
        for uniform, size in ((u[8], height), (u[9], width)):
            largest = round(size / 8)
            offsets.append(list(range(-largest, largest + 1))[int(uniform * (2 * largest + 1))])
        if "translation" not in policy:
            offsets[0] = 0
        moved = np.zeros_like(x)
        for row in range(height):
            for column in range(width):
                i, j = row + offsets[0], column + offsets[1]
                if 0 <= i < height and 0 <= j < width:
                    moved[row, column] = x[i, j]
        x = moved
    if "cutout" in policy and chosen[4]:
        x = x.copy()
        (top, bottom), (left, right) = (
            (int(uniform * (size + 1 - side % 2)) - side // 2, int(uniform * (size + 1 - side % 2)) - side // 2 + side)
            for uniform, size, side in (
                (u[10], height, int(height / 2 + 0.5)),
                (u[11], width, int(width / 2 + 0.5)),
            )
        )
        x[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
    return x


@pytest.mark.parametrize("policy", [*((name,) for name in POLICIES), POLICIES])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("probability", [1.0, 0.4])
def test_augmentations_equal_a_computation_in_numpy(shape, policy, probability):
    images = images_of(shape)
    for seed in range(5):
        uniforms = uniforms_of(len(images), seed)
        expected = [augment_by_hand(image, policy, u, probability) for image, u in zip(images, uniforms, strict=True)]
        np.testing.assert_allclose(augment(images, policy, uniforms, probability), expected, atol=1e-5)


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2.0**-24])
@pytest.mark.parametrize("shape", SHAPES)
def test_extreme_draws_equal_a_computation_in_numpy(shape, uniform):
    images, uniforms = images_of(shape), np.full((6, NUMBERS), uniform, np.float32)
    expected = [augment_by_hand(image, POLICIES, u, 1.0) for image, u in zip(images, uniforms, strict=True)]
    np.testing.assert_allclose(augment(images, POLICIES, uniforms, 1.0), expected, atol=1e-5)
    assert np.mean(augment(images, ["cutout"], uniforms, 1.0) == 0) >= 0.05


def test_probability_0_or_an_empty_policy_changes_nothing():
    images, uniforms = images_of(SHAPES[0]), uniforms_of(6)
    np.testing.assert_allclose(augment(images, POLICIES, uniforms, 0.0), images, atol=1e-6)
    np.testing.assert_array_equal(augment(images, [], uniforms, 1.0), images)


def test_the_probability_is_the_share_of_transformed_images():
    images, uniforms = np.broadcast_to(images_of((1, 8, 8, 3)), (4000, 8, 8, 3)), uniforms_of(4000)
    for policy in ("translation", "cutout"):
        changed = np.any(augment(images, [policy], uniforms, tf.constant(0.3)) != images, axis=(1, 2, 3))
        # One of nine translations is by 0 in both directions and changes nothing.
        expected = 0.3 * (8 / 9 if policy == "translation" else 1)
        assert abs(changed.mean() - expected) < 4 * np.sqrt(0.3 * 0.7 / 4000)


def test_each_image_is_transformed_by_its_own_draws():
    images, uniforms = images_of(SHAPES[0]), uniforms_of(6)
    whole = augment(images, POLICIES, uniforms, 0.5)
    halves = [augment(images[part], POLICIES, uniforms[part], 0.5) for part in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(whole, np.concatenate(halves), atol=1e-6)


@pytest.mark.parametrize("policy", [*((name,) for name in POLICIES), POLICIES])
def test_gradients_equal_finite_differences(policy):
    """The transforms are affine in the image, so a long step gives the exact difference."""
    images, uniforms = images_of((6, 8, 8, 3)), uniforms_of(6)
    weights, axis = images_of((6, 8, 8, 3))[::-1], np.random.default_rng(5).normal(size=(6, 8, 8, 3)).astype(np.float32)

    def value(images):
        return tf.reduce_sum(weights * augment(images, policy, uniforms, 0.8))

    with tf.GradientTape() as tape:
        tape.watch(point := tf.constant(images))
        result = value(point)
    difference = value(images + axis) - result
    np.testing.assert_allclose(tf.reduce_sum(tape.gradient(result, point) * axis), difference, rtol=1e-3, atol=1e-3)


def test_xla_gives_the_same_images():
    images, uniforms = images_of(SHAPES[2]), uniforms_of(6)
    compiled = tf.function(augment, jit_compile=True)(tf.constant(images), POLICIES, tf.constant(uniforms), 0.7)
    np.testing.assert_allclose(compiled, augment(images, POLICIES, uniforms, 0.7), atol=1e-5)

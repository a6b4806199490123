import numpy as np
import pytest
import tensorflow as tf

from gan_core.training import penalties

SHAPE = (3, 2, 2, 1)


def draws(seed):
    return np.random.default_rng(seed).normal(size=SHAPE)


@pytest.fixture
def images():
    return tf.constant(draws(0))


@pytest.fixture
def slope():
    return tf.Variable(draws(1)[0])


def linear(slope):
    """logit(x) = ⟨a, x⟩, whose gradient is a."""
    return lambda images: tf.reduce_sum(images * slope, axis=[1, 2, 3])


def quadratic(slope):
    """logit(x) = ½⟨x, a·x⟩, whose gradient is a·x."""
    return lambda images: tf.reduce_sum(slope * images**2, axis=[1, 2, 3]) / 2


def test_a_linear_discriminator_is_penalised_by_its_slope(images, slope):
    with tf.GradientTape() as tape:
        logits, penalty = penalties.zero_centered(linear(slope), images)
    np.testing.assert_allclose(logits, linear(slope)(images))
    np.testing.assert_allclose(penalty, np.sum(slope.numpy() ** 2))
    np.testing.assert_allclose(tape.gradient(penalty, slope), 2 * slope.numpy())


def test_a_quadratic_discriminator_is_penalised_at_each_image(images, slope):
    with tf.GradientTape() as tape:
        _, penalty = penalties.zero_centered(quadratic(slope), images)
    a, x = slope.numpy(), images.numpy()
    np.testing.assert_allclose(penalty, np.mean(np.sum((a * x) ** 2, axis=(1, 2, 3))))
    np.testing.assert_allclose(tape.gradient(penalty, slope), np.mean(2 * a * x**2, axis=0))


def test_maps_of_patches_are_penalised_for_their_sum(images, slope):
    def patches(images):
        return images * slope

    np.testing.assert_allclose(penalties.zero_centered(patches, images)[1], np.sum(slope.numpy() ** 2))


def test_the_gradient_penalty_pulls_a_linear_slope_towards_1(images, slope):
    with tf.GradientTape() as tape:
        penalty = penalties.gradient_penalty(
            linear(slope), images, tf.constant(draws(2)), tf.zeros((3, 1, 1, 1), "double")
        )
    norm = np.linalg.norm(slope.numpy())
    np.testing.assert_allclose(penalty, (norm - 1) ** 2)
    np.testing.assert_allclose(tape.gradient(penalty, slope), 2 * (norm - 1) * slope.numpy() / norm)


def test_the_gradient_penalty_is_computed_between_real_and_generated_images(images, slope):
    fake, shares = draws(2), np.array([0.0, 0.25, 0.75]).reshape(3, 1, 1, 1)
    penalty = penalties.gradient_penalty(quadratic(slope), images, tf.constant(fake), tf.constant(shares))
    between = shares * images.numpy() + (1 - shares) * fake
    norms = np.sqrt(np.sum((slope.numpy() * between) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(penalty, np.mean((norms - 1) ** 2))


def test_a_constant_discriminator_is_penalised_without_a_gradient(images):
    slope = tf.Variable(np.zeros(SHAPE[1:]))
    with tf.GradientTape() as tape:
        penalty = penalties.gradient_penalty(linear(slope), images, images, tf.zeros((3, 1, 1, 1), "double"))
    assert float(penalty) == 1
    np.testing.assert_array_equal(tape.gradient(penalty, slope), np.zeros(SHAPE[1:]))


@pytest.mark.parametrize(
    "penalty_of",
    [
        lambda f, x: penalties.zero_centered(f, x)[1],
        lambda f, x: penalties.gradient_penalty(f, x, 2 * x, tf.fill((3, 1, 1, 1), tf.constant(0.3, "double"))),
    ],
)
def test_gradients_equal_finite_differences(images, penalty_of):
    """Differentiates the penalty by the weights of a network with one hidden layer."""
    weights = tf.Variable(np.random.default_rng(3).normal(size=(4, 5)))

    def logits_of(images):
        return tf.reduce_sum(tf.tanh(tf.reshape(images, (3, 4)) @ weights), axis=1)

    with tf.GradientTape() as tape:
        penalty = penalty_of(logits_of, images)
    gradient, initial, step = tape.gradient(penalty, weights), weights.numpy(), 1e-6
    for index in np.ndindex(4, 5):
        values = []
        for sign in (1, -1):
            moved = initial.copy()
            moved[index] += sign * step
            weights.assign(moved)
            values.append(float(penalty_of(logits_of, images)))
        np.testing.assert_allclose(gradient[index], (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-8)

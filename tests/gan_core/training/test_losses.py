import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan_core.training import losses

ADVERSARIAL = [
    losses.cross_entropy_discriminator,
    losses.minimax_generator,
    losses.non_saturating_generator,
    losses.hinge_discriminator,
    losses.wasserstein_discriminator,
    losses.wasserstein_generator,
    losses.relativistic_discriminator,
    losses.relativistic_generator,
]
LOGITS = arrays(np.float64, st.integers(1, 6), elements=st.floats(-15, 15))


def probability(logits):
    return 1 / (1 + np.exp(-logits))


@given(real=LOGITS, fake=LOGITS)
def test_the_losses_equal_cross_entropies_of_probabilities(real, fake):
    expected = -np.mean(np.log(probability(real))) - np.mean(np.log(1 - probability(fake)))
    np.testing.assert_allclose(losses.cross_entropy_discriminator(real, fake), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(losses.minimax_generator(real, fake), np.mean(np.log(1 - probability(fake))), rtol=1e-6)
    np.testing.assert_allclose(losses.non_saturating_generator(real, fake), -np.mean(np.log(probability(fake))), 1e-6)


def test_an_undecided_discriminator_gives_multiples_of_log_2():
    zeros = tf.zeros(5)
    assert float(losses.cross_entropy_discriminator(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(losses.minimax_generator(zeros, zeros)) == pytest.approx(-np.log(2))
    assert float(losses.non_saturating_generator(zeros, zeros)) == pytest.approx(np.log(2))
    assert float(losses.relativistic_discriminator(zeros, zeros)) == pytest.approx(np.log(2))
    assert float(losses.relativistic_generator(zeros, zeros)) == pytest.approx(np.log(2))


def test_the_hinge_counts_only_logits_within_the_margin():
    # Real: 0.5 is 0.5 too low and −2 is 3 too low; generated: −0.25 is 0.75 too high and 1 is 2 too high.
    real, fake = tf.constant([0.5, 4.0, -2.0, 1.0]), tf.constant([-0.25, 1.0, -3.0, -1.0])
    assert float(losses.hinge_discriminator(real, fake)) == pytest.approx(3.5 / 4 + 2.75 / 4)


def test_the_wasserstein_losses_are_differences_of_means():
    real, fake = tf.constant([1.0, 2.0, 6.0]), tf.constant([-1.0, 0.0, 7.0])
    assert float(losses.wasserstein_discriminator(real, fake)) == pytest.approx(2 - 3)
    assert float(losses.wasserstein_generator(real, fake)) == pytest.approx(-2)


def test_the_relativistic_losses_compare_pairs():
    real, fake = np.array([1.0, -2.0, 0.5]), np.array([0.0, 3.0, 0.5])
    beaten = np.log1p(np.exp([-1.0, 5.0, 0.0])).mean()
    beats = np.log1p(np.exp([1.0, -5.0, 0.0])).mean()
    np.testing.assert_allclose(losses.relativistic_discriminator(real, fake), beaten)
    np.testing.assert_allclose(losses.relativistic_generator(real, fake), beats)
    # The pairs matter, not only the means.
    assert abs(float(losses.relativistic_discriminator(real, np.roll(fake, 1))) - beaten) > 0.1


@pytest.mark.parametrize("loss", ADVERSARIAL)
def test_maps_of_patches_are_averaged_like_a_batch(loss):
    real, fake = np.random.default_rng(0).normal(size=(2, 24))
    patches = loss(real.reshape(2, 3, 4, 1), fake.reshape(2, 3, 4, 1))
    assert patches.shape == ()
    np.testing.assert_allclose(patches, loss(real, fake))


def gradient(loss, point):
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = loss(point)
    return tape.gradient(value, point).numpy()


@pytest.mark.parametrize(
    "loss",
    [
        *(lambda t, loss=loss: loss(t, 0.3 * t + 1) for loss in ADVERSARIAL),
        lambda t: losses.l1_reconstruction(t, tf.zeros_like(t)),
        lambda t: losses.l2_reconstruction(tf.ones_like(t), t),
    ],
)
def test_gradients_equal_finite_differences(loss):
    point, step = np.array([-2.0, -0.4, 0.7, 3.0]), 1e-6
    differences = [(loss(point + step * axis) - loss(point - step * axis)) / (2 * step) for axis in np.eye(4)]
    np.testing.assert_allclose(gradient(loss, tf.constant(point)), np.array(differences), rtol=1e-6, atol=1e-9)


def test_confident_discriminators_cause_no_overflow_and_only_minimax_loses_its_gradient():
    confident = tf.constant([-1000.0, -1000.0])
    for discriminator in (losses.cross_entropy_discriminator, losses.relativistic_discriminator):
        assert float(discriminator(-confident, confident)) == 0
        assert float(discriminator(confident, -confident)) == 2000
    np.testing.assert_array_equal(gradient(lambda t: losses.minimax_generator(-t, t), confident), [0, 0])
    np.testing.assert_array_equal(gradient(lambda t: losses.non_saturating_generator(-t, t), confident), [-0.5, -0.5])
    np.testing.assert_array_equal(gradient(lambda t: losses.relativistic_generator(-t, t), confident), [-1, -1])


def test_reconstruction_terms_are_means_over_all_values():
    images, generated = tf.constant([[1.0, -1.0], [0.0, 0.5]]), tf.constant([[0.0, 1.0], [0.0, 0.0]])
    assert float(losses.l1_reconstruction(images, generated)) == pytest.approx((1 + 2 + 0 + 0.5) / 4)
    assert float(losses.l2_reconstruction(images, generated)) == pytest.approx((1 + 4 + 0 + 0.25) / 4)

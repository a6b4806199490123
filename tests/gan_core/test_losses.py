import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan_core import losses

LOGITS = arrays(np.float64, st.integers(1, 6), elements=st.floats(-15, 15))


def probability(logits):
    return 1 / (1 + np.exp(-logits))


@settings(deadline=None)
@given(real=LOGITS, fake=LOGITS)
def test_the_losses_are_the_cross_entropies_of_the_probabilities(real, fake):
    expected = -np.mean(np.log(probability(real))) - np.mean(np.log(1 - probability(fake)))
    np.testing.assert_allclose(losses.discriminator_cross_entropy(real, fake), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(losses.minimax_generator(fake), np.mean(np.log(1 - probability(fake))), rtol=1e-6)
    np.testing.assert_allclose(losses.non_saturating_generator(fake), -np.mean(np.log(probability(fake))), rtol=1e-6)


def test_an_undecided_discriminator_gives_multiples_of_log_2():
    zeros = tf.zeros(5)
    assert float(losses.discriminator_cross_entropy(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(losses.minimax_generator(zeros)) == pytest.approx(-np.log(2))
    assert float(losses.non_saturating_generator(zeros)) == pytest.approx(np.log(2))


def gradient(loss, point):
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = loss(point)
    return tape.gradient(value, point).numpy()


@pytest.mark.parametrize(
    "loss",
    [
        lambda t: losses.discriminator_cross_entropy(t, 0.3 * t + 1),
        losses.minimax_generator,
        losses.non_saturating_generator,
        lambda t: losses.l1_reconstruction(t, tf.zeros_like(t)),
        lambda t: losses.l2_reconstruction(tf.ones_like(t), t),
    ],
)
def test_gradients_are_those_of_finite_differences(loss):
    point, step = np.array([-2.0, -0.4, 0.7, 3.0]), 1e-6
    differences = [(loss(point + step * axis) - loss(point - step * axis)) / (2 * step) for axis in np.eye(4)]
    np.testing.assert_allclose(gradient(loss, tf.constant(point)), np.array(differences), rtol=1e-6, atol=1e-9)


def test_sure_discriminators_overflow_nothing_and_only_minimax_loses_its_gradient():
    sure = tf.constant([-1000.0, -1000.0])
    assert float(losses.discriminator_cross_entropy(-sure, sure)) == 0
    assert float(losses.discriminator_cross_entropy(sure, -sure)) == 2000
    np.testing.assert_array_equal(gradient(losses.minimax_generator, sure), [0, 0])
    np.testing.assert_array_equal(gradient(losses.non_saturating_generator, sure), [-0.5, -0.5])


def test_reconstruction_terms_are_means_over_every_number():
    images, generated = tf.constant([[1.0, -1.0], [0.0, 0.5]]), tf.constant([[0.0, 1.0], [0.0, 0.0]])
    assert float(losses.l1_reconstruction(images, generated)) == pytest.approx((1 + 2 + 0 + 0.5) / 4)
    assert float(losses.l2_reconstruction(images, generated)) == pytest.approx((1 + 4 + 0 + 0.25) / 4)

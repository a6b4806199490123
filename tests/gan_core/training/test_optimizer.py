"""Adam equals the algorithm of Kingma and Ba in numpy and float64."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.training.optimizer import Adam

SHAPES = [(3, 2), (2,)]
RATES = [(0.01, 0.9), (0.02, 0.95), (0.005, 0.99), (0.0, 0.5), (0.001, 0.999)]  # learning rate and β₂ of each step
BETA_1 = 0.5


def network():
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    dense.set_weights([np.full(shape, 0.5, np.float32) for shape in SHAPES])
    return dense


def gradients_of(step):
    generator = np.random.default_rng(step)
    return [generator.normal(size=shape) * 10.0 ** (step - 2) for shape in SHAPES]


def apply_step(adam, gradients, learning_rate=0.01, beta_1=BETA_1, beta_2=0.9):
    tensors = [tf.constant(gradient, tf.float32) for gradient in gradients]
    return float(adam.apply(tensors, tf.constant(learning_rate), beta_1, tf.constant(beta_2)))


def state_of(adam):
    return [variable.numpy() for variable in adam.variables]


@pytest.mark.parametrize("beta_1", [0.0, 0.5])
def test_five_steps_with_changing_rates_equal_the_algorithm(beta_1):
    trained = network()
    adam = Adam(trained, mixed_precision=False)
    weights = [np.full(shape, 0.5) for shape in SHAPES]
    means, squares = ([np.zeros(shape) for shape in SHAPES] for _ in range(2))
    power_1 = power_2 = 1.0
    for step, (learning_rate, beta_2) in enumerate(RATES):
        gradients = gradients_of(step)
        norm = apply_step(adam, gradients, learning_rate, beta_1, beta_2)
        assert norm == pytest.approx(np.sqrt(sum((gradient**2).sum() for gradient in gradients)), rel=1e-5)
        power_1, power_2 = power_1 * beta_1, power_2 * beta_2
        for index, gradient in enumerate(gradients):
            means[index] = beta_1 * means[index] + (1 - beta_1) * gradient
            squares[index] = beta_2 * squares[index] + (1 - beta_2) * gradient**2
            mean, square = means[index] / (1 - power_1), squares[index] / (1 - power_2)
            weights[index] = weights[index] - learning_rate * mean / (np.sqrt(square) + 1e-7)
        for ours, theirs in zip(trained.get_weights(), weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-7)


def test_the_first_step_is_the_learning_rate_times_the_sign_of_the_gradient():
    trained = network()
    apply_step(Adam(trained, mixed_precision=False), gradients := gradients_of(2))
    for weight, gradient in zip(trained.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(weight - 0.5, -0.01 * np.sign(gradient), rtol=1e-4)


def test_a_tape_watches_only_its_own_network():
    ours, other = network(), network()
    adam = Adam(ours, mixed_precision=False)
    x = tf.constant([[1.0, 2.0, 3.0]])
    with adam.tape() as tape:
        loss = tf.reduce_sum(ours(x) + other(x))
    assert len(tape.watched_variables()) == 2
    kernel, bias = adam.gradients(tape, loss)
    np.testing.assert_array_equal(kernel, [[1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(bias, [1, 1])


def test_the_loss_scale_multiplies_the_gradients_and_does_not_change_the_step():
    plain, scaled = network(), network()
    x = tf.constant([[1.0, 2.0, 3.0]])
    norms, found = [], []
    for trained, mixed_precision in ((plain, False), (scaled, True)):
        adam = Adam(trained, mixed_precision=mixed_precision)
        with adam.tape() as tape:
            loss = tf.reduce_sum(trained(x) ** 2)
        found.append(adam.gradients(tape, loss))
        norms.append(apply_step(adam, found[-1]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(ours, theirs * 2.0**15)
    assert norms[1] == norms[0]
    for ours, theirs in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("overflow", [np.inf, -np.inf, np.nan])
def test_an_overflow_changes_no_weight_and_halves_the_loss_scale(overflow):
    trained = network()
    adam = Adam(trained, mixed_precision=True)
    apply_step(adam, gradients_of(2))
    weights, state = trained.get_weights(), state_of(adam)
    gradients = gradients_of(3)
    gradients[0][1, 1] = overflow
    assert apply_step(adam, gradients) == 0
    for before, after in zip(weights, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(state[:-1], state_of(adam)[:-1], strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(state[-1], [2.0**15, 1])
    np.testing.assert_array_equal(state_of(adam)[-1], [2.0**14, 0])


def test_two_thousand_consecutive_finite_steps_double_the_loss_scale():
    adam = Adam(network(), mixed_precision=True)
    scale = adam.variables[-1]
    scale.assign([2.0**10, 1998.0])
    apply_step(adam, gradients_of(2))
    np.testing.assert_array_equal(scale.numpy(), [2.0**10, 1999])
    apply_step(adam, gradients_of(2))
    np.testing.assert_array_equal(scale.numpy(), [2.0**11, 0])

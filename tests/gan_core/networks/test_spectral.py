import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.networks.spectral import SpectralConv2D, SpectralDense

DRAWN = {"kernel_initializer": keras.initializers.RandomNormal(seed=1), "vector_seed": 2}


def singular_values(kernel):
    return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)


@pytest.mark.parametrize(
    ("layer", "inputs", "compared"),
    [
        (SpectralDense(6, **DRAWN), (5, 9), lambda x, kernel: x @ kernel),
        (
            SpectralConv2D(6, 3, 2, **DRAWN),
            (2, 8, 8, 3),
            lambda x, kernel: keras.ops.conv(x, kernel, strides=2, padding="same"),
        ),
    ],
)
def test_the_kernel_is_divided_by_its_largest_singular_value(layer, inputs, compared):
    x = tf.random.stateless_normal(inputs, (3, 4))
    for _ in range(200):
        layer(x, training=True)
    layer.bias.assign(np.arange(6.0))
    norm = singular_values(layer.kernel)[0]
    np.testing.assert_allclose(layer(x), compared(x, layer.kernel / norm) + np.arange(6.0), rtol=1e-4, atol=1e-4)
    assert layer(x).shape == layer.compute_output_shape(inputs)


def test_each_call_in_training_makes_one_power_iteration():
    layer, x = SpectralDense(4, **DRAWN), tf.ones((1, 7))
    layer.build(x.shape)
    kernel, vector = layer.kernel.numpy(), layer.vector.numpy()
    layer(x)
    np.testing.assert_array_equal(layer.vector, vector)
    layer(x, training=True)
    expected = kernel.T @ kernel @ vector
    np.testing.assert_allclose(layer.vector, expected / np.linalg.norm(expected), rtol=1e-5)


def test_the_gradient_is_that_of_the_normalised_kernel():
    layer, x = SpectralDense(3, **DRAWN), tf.random.stateless_normal((5, 4), (3, 4))
    target = tf.random.stateless_normal((5, 3), (5, 6))
    for _ in range(500):
        layer(x, training=True)
    kernel, vector = layer.kernel.numpy().astype(float), layer.vector.numpy()

    def loss(kernel):
        return np.sum((x.numpy() @ (kernel / singular_values(kernel)[0]) - target.numpy()) ** 2)

    with tf.GradientTape() as tape:
        value = tf.reduce_sum((layer(x, training=True) - target) ** 2)
    gradient = tape.gradient(value, layer.kernel.value)
    step = 1e-6
    for index in np.ndindex(kernel.shape):
        axis = np.zeros_like(kernel)
        axis[index] = step
        difference = (loss(kernel + axis) - loss(kernel - axis)) / (2 * step)
        np.testing.assert_allclose(gradient[index], difference, rtol=1e-3, atol=1e-3)
    # W / σ(W) does not change with the length of W.
    assert abs(np.sum(gradient * kernel)) < 1e-3 * np.linalg.norm(gradient)
    assert np.linalg.norm(vector) == pytest.approx(1)

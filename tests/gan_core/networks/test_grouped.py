import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.networks import grouped


@pytest.fixture(params=["native", "split"])
def layer(request, monkeypatch):
    if request.param == "split":
        monkeypatch.setattr(grouped, "_is_differentiable", lambda dtype: False)
    layer = grouped.GroupedConv2D(4, keras.initializers.RandomNormal(seed=1))
    layer.build((None, 5, 6, 12))
    layer.bias.assign(np.arange(12.0))
    return layer


def by_hand(layer, images):
    """Convolves each group separately."""
    outputs = []
    for start in range(0, 12, 4):
        part, kernel = images[..., start : start + 4], layer.kernel.numpy()[..., start : start + 4]
        padded = np.pad(part, [(0, 0), (1, 1), (1, 1), (0, 0)])
        shifted = [padded[:, i : i + 5, j : j + 6] @ kernel[i, j] for i in range(3) for j in range(3)]
        outputs.append(np.sum(shifted, axis=0))
    return np.concatenate(outputs, axis=-1) + np.arange(12.0)


def test_every_group_is_convolved_separately(layer):
    images = np.random.default_rng(0).normal(size=(2, 5, 6, 12)).astype(np.float32)
    np.testing.assert_allclose(layer(images), by_hand(layer, images), atol=1e-5)


def test_second_derivatives_are_correct(layer):
    """⟨f(x), f(x)⟩ is quadratic in x and in the kernel, so its derivatives are known from f, which is bilinear."""
    layer.bias.assign(np.zeros(12))
    images = tf.random.stateless_normal((2, 5, 6, 12), (1, 2))
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = tf.reduce_sum(layer(images) ** 2) / 2
        gradient = tape.gradient(value, images)
        slope = tf.reduce_sum(gradient * images)
    np.testing.assert_allclose(slope, 2 * value, rtol=1e-5)
    second = outer.gradient(slope, layer.kernel.value)
    # Euler: the slope is quadratic in the kernel.
    np.testing.assert_allclose(tf.reduce_sum(second * layer.kernel), 2 * slope, rtol=1e-5)


def test_a_layer_is_restored_from_its_configuration(layer):
    again = grouped.GroupedConv2D.from_config(layer.get_config())
    again.build((None, 5, 6, 12))
    np.testing.assert_array_equal(again.kernel, layer.kernel)

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_core.networks import layers

PAIRS = {
    "from image, 4×4": (layers.FromImageConv2D, keras.layers.Conv2D, (4, (5, 12, 8, 3))),
    "from image, 5×5": (layers.FromImageConv2D, keras.layers.Conv2D, (5, (5, 12, 8, 1))),
    "to image, 4×4": (layers.ToImageConv2DTranspose, keras.layers.Conv2DTranspose, (4, (5, 6, 4, 16))),
    "to image, 5×5": (layers.ToImageConv2DTranspose, keras.layers.Conv2DTranspose, (5, (5, 6, 4, 16))),
}


@pytest.fixture(params=PAIRS)
def pair(request):
    """Returns this project's layer, Keras's layer with the same weights, and an input."""
    own, of_keras, (size, shape) = PAIRS[request.param]
    filters = 16 if own is layers.FromImageConv2D else 3
    made = [
        kind(filters, size, strides=2, padding="same", bias_initializer=keras.initializers.RandomNormal(seed=2))
        for kind in (own, of_keras)
    ]
    for layer in made:
        layer.build(shape)
    made[1].set_weights(made[0].get_weights())
    return *made, tf.random.stateless_normal(shape, (1, 2))


def value_and_gradients(layer, inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        loss = tf.reduce_sum(tf.sin(outputs))
    kernel, bias = layer.trainable_variables
    return outputs, *tape.gradient(loss, [inputs, kernel.value, bias.value])


def test_a_convolution_and_its_gradients_equal_those_of_keras(pair):
    own, of_keras, inputs = pair
    for ours, theirs in zip(value_and_gradients(own, inputs), value_and_gradients(of_keras, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_second_derivatives_of_a_convolution_are_correct(pair):
    def slopes(layer, inputs):
        """Returns the gradients of a gradient penalty by the weights and by the images."""
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = tf.reduce_sum(tf.sin(layer(inputs)))
            penalty = tf.reduce_sum(tape.gradient(value, inputs) ** 2)
        return outer.gradient(penalty, [inputs, layer.kernel.value])

    own, of_keras, inputs = pair
    for ours, theirs in zip(slopes(own, inputs), slopes(of_keras, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "scale": False}])
def test_batch_norm_and_its_gradients_equal_those_of_keras(options):
    inputs = tf.random.stateless_normal((4, 3, 5, 6), (1, 2)) * 3 + 1
    found = []
    for layer in (layers.BatchNormalization(**options), keras.layers.BatchNormalization(**options)):
        layer.build(inputs.shape)
        layer.set_weights([np.linspace(1, 2, 6) + index for index in range(len(layer.weights))])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(tf.sin(outputs))
        gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
        # The last call uses the statistics that the first call updated.
        found.append([outputs, *gradients, *layer.get_weights(), layer(inputs, training=False)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("own", "of_keras", "arguments", "shape"),
    [
        (layers.FromImageConv2D, keras.layers.Conv2D, (16, 4, 2, "same"), (4, 8, 8, 3)),
        (layers.ToImageConv2DTranspose, keras.layers.Conv2DTranspose, (3, 4, 2, "same"), (4, 4, 4, 16)),
        (layers.BatchNormalization, keras.layers.BatchNormalization, (), (4, 8, 8, 6)),
    ],
)
def test_layers_in_mixed_precision_equal_those_of_keras(own, of_keras, arguments, shape, policy):
    inputs = tf.random.stateless_normal(shape, (1, 2))
    made = [kind(*arguments, dtype=policy) for kind in (own, of_keras)]
    for layer in made:
        layer.build(shape)
    made[1].set_weights(made[0].get_weights())
    ours, theirs = (layer(inputs, training=True) if not arguments else layer(inputs) for layer in made)
    assert ours.dtype == theirs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32), rtol=0.02, atol=0.05)
    for kept, expected in zip(made[0].get_weights(), made[1].get_weights(), strict=True):
        assert kept.dtype == np.float32
        np.testing.assert_allclose(kept, expected, rtol=0.01, atol=1e-3)

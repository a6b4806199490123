"""A grouped 3×3 convolution that trains on every device. Keras compiles its layer with XLA, which is slow on a CPU."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="gan_core")
class GroupedConv2D(keras.layers.Layer):  # type: ignore[misc]
    """Convolves each group of `group_size` channels separately and adds a bias: [B, H, W, C] → [B, H, W, C].

    The padding is "same". `group_size` must divide C. The kernel is [3, 3, group_size, C].

    Reference: Xie et al. 2017, arXiv 1611.05431, figure 3c.
    """

    def __init__(self, group_size: int, kernel_initializer: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.group_size = group_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Creates the kernel and the bias."""
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(3, 3, self.group_size, channels), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the input's shape, which is also the output's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves."""
        kernel = tf.convert_to_tensor(self.kernel)
        if _is_differentiable(self.compute_dtype):
            outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
        else:
            groups = inputs.shape[-1] // self.group_size
            pairs = zip(tf.split(inputs, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
            outputs = tf.concat([tf.nn.conv2d(part, filters, 1, "SAME") for part, filters in pairs], axis=-1)
        return tf.nn.bias_add(outputs, self.bias)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "group_size": self.group_size, "kernel_initializer": initializer}


@functools.cache
def _is_differentiable(dtype: str) -> bool:
    """Whether TensorFlow can differentiate its grouped convolution here: on a CPU, oneDNN can, Eigen cannot."""
    # Calls the gradient's operation directly, because a tape records nothing in an init_scope.
    with tf.init_scope():
        images, kernel = tf.zeros((1, 3, 3, 2), dtype), tf.zeros((3, 3, 1, 2), dtype)
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=images.shape, filter=kernel, out_backprop=images, strides=[1, 1, 1, 1], padding="SAME"
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True

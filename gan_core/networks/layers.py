"""Keras's batch norm and stride-2 convolutions with the same weights and values, but faster on a CPU.

- Batch norm is one fused operation; Keras's layer makes a dozen passes over the map.
- Two operations map many channels to an image's few channels at twice the resolution: the generator's last transposed
  convolution, and the gradient of the discriminator's first convolution. Both are computed as sub-pixel convolutions:
  at stride 1, with the 2×2 pixels of each output cell as channels (Shi et al. 2016, arXiv 1609.05158, section 3.2).
  oneDNN computes this twice as fast.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_STRIDE = 2


@keras.saving.register_keras_serializable(package="gan_core")
class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch norm of maps [B, H, W, C] over B, H, W. Keras's own layer handles vectors and `synchronized`."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalises. In training it uses the batch's statistics and updates the moving averages with them."""
        if not training or self.synchronized or len(inputs.shape) != 4:
            return super().call(inputs, training=training)
        channels = inputs.shape[-1]
        scale, shift = (
            tf.fill((channels,), start) if variable is None else tf.convert_to_tensor(variable.value)
            for variable, start in ((self.gamma, 1.0), (self.beta, 0.0))
        )
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, scale, shift, epsilon=self.epsilon)
        # The fused operation returns the unbiased variance, which is n / (n − 1) times the variance of the n numbers.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        for kept, found in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            kept.assign(kept * self.momentum + found * (1 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable(package="gan_core")
class FromImageConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """Convolution of images with few channels and even sides: [B, H, W, C] → [B, H / 2, W / 2, filters].

    Requires strides=2 and padding="same".
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: Any) -> tf.Tensor:
        """Convolves; called by Keras, which adds the bias."""
        return _gathered(inputs, tf.convert_to_tensor(kernel))


@keras.saving.register_keras_serializable(package="gan_core")
class ToImageConv2DTranspose(keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """Transposed convolution to images with few channels: [B, H, W, C] → [B, 2 H, 2 W, filters].

    Requires strides=2 and padding="same".
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves."""
        outputs = _spread(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gathered(images: tf.Tensor, kernel: tf.Tensor) -> Any:
    """Convolution of [B, 2 H, 2 W, few] with [k, k, few, C] → [B, H, W, C]."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _spread(upstream, kernel), _kernel_gradient(images, upstream, kernel)

    return tf.nn.conv2d(images, kernel, _STRIDE, "SAME"), gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _spread(maps: tf.Tensor, kernel: tf.Tensor) -> Any:
    """Transposed convolution of [B, H, W, C] with [k, k, few, C] → [B, 2 H, 2 W, few]."""
    size, _, few, channels = kernel.shape
    height, width = maps.shape[1:3]
    cells = (size + 1) // _STRIDE
    odd = _STRIDE * cells - size
    kernel_of_cells = tf.reshape(
        tf.pad(kernel, [[0, odd], [0, odd], [0, 0], [0, 0]]), (cells, _STRIDE, cells, _STRIDE, few, channels)
    )
    kernel_of_cells = tf.reshape(
        tf.transpose(kernel_of_cells, (0, 2, 1, 3, 4, 5)), (cells, cells, _STRIDE * _STRIDE * few, channels)
    )
    shape = (tf.shape(maps)[0], height + cells - 1, width + cells - 1, _STRIDE * _STRIDE * few)
    images = tf.nn.depth_to_space(tf.nn.conv2d_transpose(maps, kernel_of_cells, shape, 1, "VALID"), _STRIDE)
    before = (size - _STRIDE) // 2  # the padding that TensorFlow's "SAME" puts before an even side

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _gathered(upstream, kernel), _kernel_gradient(upstream, maps, kernel)

    return images[:, before : before + _STRIDE * height, before : before + _STRIDE * width], gradient


def _kernel_gradient(images: tf.Tensor, maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The gradient of ⟨maps, convolution of images⟩ with respect to the kernel."""
    return tf.raw_ops.Conv2DBackpropFilter(
        input=images,
        filter_sizes=tf.shape(kernel),
        out_backprop=maps,
        strides=[1, _STRIDE, _STRIDE, 1],
        padding="SAME",
    )

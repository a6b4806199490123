"""Spectral normalisation: dividing a kernel W by its spectral norm σ(W) limits how far a layer stretches its input.

σ(W) = uᵀWv for the leading singular vectors of W as a matrix [out, in]. u is stored, and one power iteration updates it
at each call in training. The gradient treats u and v as constants but not σ, so it is the gradient of W / σ(W).

Reference: Miyato et al. 2018, arXiv 1802.05957, algorithm 1 and equation 12.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_SMALLEST_NORM = 1e-12


class _SpectralLayer(keras.layers.Layer):  # type: ignore[misc]
    """A kernel [..., out], its vector u [out], and a bias [out] if `use_bias`."""

    def __init__(
        self, filters: int, *, kernel_initializer: Any, vector_seed: int, use_bias: bool = True, dtype: str = "float32"
    ) -> None:
        super().__init__(dtype=dtype)
        self.filters, self.use_bias = filters, use_bias
        self._kernel_initializer, self._vector_seed = kernel_initializer, vector_seed

    def _add_weights(self, kernel_shape: tuple[int | None, ...]) -> None:
        # The power iteration is always in float32.
        self.kernel = self.add_weight(
            shape=kernel_shape, initializer=self._kernel_initializer, autocast=False, name="kernel"
        )
        # Every device computes the same u, so one replica's value is stored.
        self.vector = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(seed=self._vector_seed),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="vector",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None

    def _normalized_kernel(self, training: bool) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self.kernel.value)
        matrix = tf.reshape(kernel, (-1, self.filters))
        constant = tf.stop_gradient(matrix)
        right = _unit(tf.linalg.matvec(constant, self.vector.value))
        left = _unit(tf.linalg.matvec(constant, right, transpose_a=True))
        if training:
            self.vector.assign(left)
        norm = tf.tensordot(right, tf.linalg.matvec(matrix, left), 1)
        return tf.cast(kernel / tf.maximum(norm, _SMALLEST_NORM), self.compute_dtype)


class SpectralConv2D(_SpectralLayer):
    """Convolution [B, H, W, in] → [B, H / stride, W / stride, filters], padding "same"."""

    def __init__(self, filters: int, kernel_size: int, stride: int = 1, **arguments: Any) -> None:
        super().__init__(filters, **arguments)
        self._kernel_size, self._stride = kernel_size, stride

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel [kernel_size, kernel_size, in, filters]."""
        self._add_weights((self._kernel_size, self._kernel_size, input_shape[-1], self.filters))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The output's shape for even sizes."""
        batch, height, width, _ = input_shape
        return batch, height // self._stride, width // self._stride, self.filters

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Convolves."""
        outputs = tf.nn.conv2d(inputs, self._normalized_kernel(training), self._stride, "SAME")
        return outputs if self.bias is None else tf.nn.bias_add(outputs, self.bias)


class SpectralDense(_SpectralLayer):
    """Dense [B, in] → [B, filters]."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel [in, filters]."""
        self._add_weights((input_shape[-1], self.filters))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The output's shape."""
        return *input_shape[:-1], self.filters

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Multiplies."""
        outputs = tf.matmul(inputs, self._normalized_kernel(training))
        return outputs if self.bias is None else outputs + self.bias


def _unit(vector: tf.Tensor) -> tf.Tensor:
    return vector / tf.maximum(tf.norm(vector), _SMALLEST_NORM)

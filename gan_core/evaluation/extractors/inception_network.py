"""The 2015-12-05 Inception network as a Keras model.

It differs from keras.applications.InceptionV3 in its weights, its 1008 classes, and the pooling of the last block.
Layers have the names of pytorch-fid's modules, so that their weights can be found.

Reference: Szegedy et al. 2015, arXiv 1512.00567; Heusel et al. 2017, arXiv 1706.08500.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.resize import SIDE
from gan_core.evaluation.extractors.weights import require_tensors

FEATURES = 2048
CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3


def build_network() -> Any:
    """Builds the network as a Keras model with zero weights, [B, 299, 299, 3] float32 → [B, 2048] float32."""
    import keras

    images = keras.Input((SIDE, SIDE, 3))
    x = _convolution(images, "Conv2d_1a_3x3", 32, (3, 3), stride=2)
    x = _convolution(x, "Conv2d_2a_3x3", 32, (3, 3), padding="valid")
    x = _convolution(x, "Conv2d_2b_3x3", 64, (3, 3))
    x = keras.layers.MaxPooling2D(3, 2)(x)
    x = _convolution(x, "Conv2d_3b_1x1", 80, (1, 1))
    x = _convolution(x, "Conv2d_4a_3x3", 192, (3, 3), padding="valid")
    x = keras.layers.MaxPooling2D(3, 2)(x)
    x = _block_a(x, "Mixed_5b", pool_filters=32)
    x = _block_a(x, "Mixed_5c", pool_filters=64)
    x = _block_a(x, "Mixed_5d", pool_filters=64)
    x = _block_b(x, "Mixed_6a")
    x = _block_c(x, "Mixed_6b", width=128)
    x = _block_c(x, "Mixed_6c", width=160)
    x = _block_c(x, "Mixed_6d", width=160)
    x = _block_c(x, "Mixed_6e", width=192)
    x = _block_d(x, "Mixed_7a")
    x = _block_e(x, "Mixed_7b", keras.layers.AveragePooling2D)
    # Unlike its paper, the released network has max pooling here; FID is defined with the released network.
    x = _block_e(x, "Mixed_7c", keras.layers.MaxPooling2D)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def _convolution(
    x: Any, name: str, filters: int, kernel: tuple[int, int], *, stride: int = 1, padding: str = "same"
) -> Any:
    """Convolution, batch normalisation (folded into kernel and bias) and ReLU. Strided convolutions are not padded."""
    import keras

    padding = "valid" if stride > 1 else padding
    layer = keras.layers.Conv2D(
        filters, kernel, stride, padding, activation="relu", kernel_initializer="zeros", name=name
    )
    return layer(x)


def _pool(x: Any, pooling: Any) -> Any:
    """3×3 pooling at stride 1; average pooling does not count the padding."""
    return pooling(3, 1, "same")(x)


def _block_a(x: Any, name: str, pool_filters: int) -> Any:
    import keras

    a = _convolution(x, f"{name}.branch1x1", 64, (1, 1))
    b = _convolution(x, f"{name}.branch5x5_1", 48, (1, 1))
    b = _convolution(b, f"{name}.branch5x5_2", 64, (5, 5))
    c = _convolution(x, f"{name}.branch3x3dbl_1", 64, (1, 1))
    c = _convolution(c, f"{name}.branch3x3dbl_2", 96, (3, 3))
    c = _convolution(c, f"{name}.branch3x3dbl_3", 96, (3, 3))
    d = _convolution(_pool(x, keras.layers.AveragePooling2D), f"{name}.branch_pool", pool_filters, (1, 1))
    return keras.layers.Concatenate()([a, b, c, d])


def _block_b(x: Any, name: str) -> Any:
    import keras

    a = _convolution(x, f"{name}.branch3x3", 384, (3, 3), stride=2)
    b = _convolution(x, f"{name}.branch3x3dbl_1", 64, (1, 1))
    b = _convolution(b, f"{name}.branch3x3dbl_2", 96, (3, 3))
    b = _convolution(b, f"{name}.branch3x3dbl_3", 96, (3, 3), stride=2)
    return keras.layers.Concatenate()([a, b, keras.layers.MaxPooling2D(3, 2)(x)])


def _block_c(x: Any, name: str, width: int) -> Any:
    import keras

    a = _convolution(x, f"{name}.branch1x1", 192, (1, 1))
    b = _convolution(x, f"{name}.branch7x7_1", width, (1, 1))
    b = _convolution(b, f"{name}.branch7x7_2", width, (1, 7))
    b = _convolution(b, f"{name}.branch7x7_3", 192, (7, 1))
    c = _convolution(x, f"{name}.branch7x7dbl_1", width, (1, 1))
    c = _convolution(c, f"{name}.branch7x7dbl_2", width, (7, 1))
    c = _convolution(c, f"{name}.branch7x7dbl_3", width, (1, 7))
    c = _convolution(c, f"{name}.branch7x7dbl_4", width, (7, 1))
    c = _convolution(c, f"{name}.branch7x7dbl_5", 192, (1, 7))
    d = _convolution(_pool(x, keras.layers.AveragePooling2D), f"{name}.branch_pool", 192, (1, 1))
    return keras.layers.Concatenate()([a, b, c, d])


def _block_d(x: Any, name: str) -> Any:
    import keras

    a = _convolution(x, f"{name}.branch3x3_1", 192, (1, 1))
    a = _convolution(a, f"{name}.branch3x3_2", 320, (3, 3), stride=2)
    b = _convolution(x, f"{name}.branch7x7x3_1", 192, (1, 1))
    b = _convolution(b, f"{name}.branch7x7x3_2", 192, (1, 7))
    b = _convolution(b, f"{name}.branch7x7x3_3", 192, (7, 1))
    b = _convolution(b, f"{name}.branch7x7x3_4", 192, (3, 3), stride=2)
    return keras.layers.Concatenate()([a, b, keras.layers.MaxPooling2D(3, 2)(x)])


def _block_e(x: Any, name: str, pooling: Any) -> Any:
    import keras

    a = _convolution(x, f"{name}.branch1x1", 320, (1, 1))
    b = _convolution(x, f"{name}.branch3x3_1", 384, (1, 1))
    c = _convolution(x, f"{name}.branch3x3dbl_1", 448, (1, 1))
    c = _convolution(c, f"{name}.branch3x3dbl_2", 384, (3, 3))
    branches = [
        a,
        _convolution(b, f"{name}.branch3x3_2a", 384, (1, 3)),
        _convolution(b, f"{name}.branch3x3_2b", 384, (3, 1)),
        _convolution(c, f"{name}.branch3x3dbl_3a", 384, (1, 3)),
        _convolution(c, f"{name}.branch3x3dbl_3b", 384, (3, 1)),
        _convolution(_pool(x, pooling), f"{name}.branch_pool", 192, (1, 1)),
    ]
    return keras.layers.Concatenate()(branches)


def load_tensors(network: Any, tensors: dict[str, NDArray[np.float32]]) -> None:
    """Sets the weights, and folds the batch normalisation γ (x − μ) / √(σ² + ε) + β into the convolutions.

    Args:
        network: from `build_network`.
        tensors: `<layer>.conv.weight` [out, in, height, width]; `<layer>.bn.weight` γ, `.bias` β, `.running_mean` μ and
            `.running_var` σ², each [out]; `fc.weight` [1008, 2048], `fc.bias` [1008].

    Raises:
        InvalidInput: a tensor is missing, unexpected, of another shape, or not finite.
    """
    layers = [layer for layer in network.layers if layer.weights]
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (CLASSES, FEATURES), "fc.bias": (CLASSES,)}
    for layer in layers:
        height, width, inputs, filters = layer.kernel.shape
        shapes[f"{layer.name}.conv.weight"] = (filters, inputs, height, width)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.name}.bn.{part}"] = (filters,)
    require_tensors(tensors, shapes, "the 2015-12-05 Inception network")
    for layer in layers:
        gain, shift, mean, variance = (
            tensors[f"{layer.name}.bn.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernel = tensors[f"{layer.name}.conv.weight"].transpose(2, 3, 1, 0)
        layer.set_weights([(kernel * gain).astype(np.float32), (shift - mean * gain).astype(np.float32)])

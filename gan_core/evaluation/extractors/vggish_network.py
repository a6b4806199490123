"""The VGGish network as a Keras model. Layers have the names of torchvggish's modules, so their weights can be found.

Its output is that of the last layer before the activation, as in the network's release since August 2020 and in the
usual programs for the Fréchet audio distance. Before, the release had a ReLU there.

Reference: Hershey et al. 2017, arXiv 1609.09430.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.weights import require_tensors

FRAMES = 96
BANDS = 64
FEATURES = 128
_FILTERS = {"0": 64, "3": 128, "6": 256, "8": 256, "11": 512, "13": 512}
"""Number of filters of each convolution."""
_POOLED = ("0", "3", "8", "13")
"""The convolutions that 2×2 maximum pooling follows."""


def build_network() -> Any:
    """Builds the network as a Keras model with zero weights, log-mel [B, 96, 64] float32 → [B, 128] float32."""
    import keras

    levels = keras.Input((FRAMES, BANDS))
    x = keras.layers.Reshape((FRAMES, BANDS, 1))(levels)
    for module, filters in _FILTERS.items():
        name = f"features.{module}"
        x = keras.layers.Conv2D(filters, 3, 1, "same", activation="relu", kernel_initializer="zeros", name=name)(x)
        x = keras.layers.MaxPooling2D(2, 2)(x) if module in _POOLED else x
    x = keras.layers.Flatten()(x)
    for name, units, activation in (("0", 4096, "relu"), ("2", 4096, "relu"), ("4", FEATURES, None)):
        x = keras.layers.Dense(units, activation, kernel_initializer="zeros", name=f"embeddings.{name}")(x)
    return keras.Model(levels, x)


def load_tensors(network: Any, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Sets the weights.

    Args:
        network: from `build_network`.
        tensors: `<layer>.weight` [out, in, height, width] or [out, in], and `<layer>.bias` [out].

    Raises:
        InvalidInput: a tensor is missing, unexpected, of another shape, or not finite.
    """
    layers = [layer for layer in network.layers if layer.weights]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        *sides, inputs, outputs = layer.kernel.shape
        shapes |= {f"{layer.name}.weight": (outputs, inputs, *sides), f"{layer.name}.bias": (outputs,)}
    require_tensors(tensors, shapes, "the VGGish network")
    for layer in layers:
        weight = tensors[f"{layer.name}.weight"]
        layer.set_weights([weight.transpose(*range(2, weight.ndim), 1, 0), tensors[f"{layer.name}.bias"]])

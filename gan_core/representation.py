"""What networks read and write in place of stored arrays, which are uint8 [H, W, C].

An array of levels is scaled to [−1, 1]. An array of codes, such as the letters of a text, becomes one-hot vectors, and
a network writes a distribution over the codes at each place. `symbols` is the number of different codes, and 0 for an
array of levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def network_shape(shape: tuple[int, int, int], symbols: int) -> tuple[int, int, int]:
    """Returns height, width, channels of what networks read and write, for stored arrays of `shape` [H, W, C].

    >>> network_shape((28, 28, 1), symbols=0), network_shape((32, 1, 1), symbols=27)
    ((28, 28, 1), (32, 1, 27))
    """
    return (*shape[:2], symbols or shape[2])


def to_network(arrays: NDArray[np.uint8], symbols: int) -> NDArray[np.float32]:
    """Stored arrays [B, H, W, C] → levels u / 127.5 − 1, or one-hot codes; float32 [B, *network_shape].

    A code of `symbols` or above gives zeros.
    """
    if symbols:
        codes: NDArray[np.float32] = (arrays == np.arange(symbols)).astype(np.float32)
        return codes
    return arrays.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_network_tensor(arrays: Any, symbols: int) -> Any:
    """Does the same as `to_network` with a TensorFlow tensor."""
    import tensorflow as tf

    if symbols:
        return tf.one_hot(arrays[..., 0], symbols)
    return tf.cast(arrays, tf.float32) / 127.5 - 1.0


def to_arrays(values: NDArray[np.floating], symbols: int) -> NDArray[np.uint8]:
    """What networks write, [B, *network_shape] → stored arrays [B, H, W, C].

    Levels are round(127.5·(x + 1)), halves up, the inverse of u / 127.5 − 1. A code is the most probable one.
    """
    if symbols:
        codes: NDArray[np.uint8] = values.argmax(axis=-1)[..., np.newaxis].astype(np.uint8)
        return codes
    levels: NDArray[np.uint8] = np.clip(np.floor(values * 127.5 + 128.0), 0, 255).astype(np.uint8)
    return levels

"""Random weights of the VGGish network, with the names and shapes of torchvggish's file."""

from __future__ import annotations

import functools

import numpy as np

_SHAPES = {
    "features.0": (64, 1, 3, 3),
    "features.3": (128, 64, 3, 3),
    "features.6": (256, 128, 3, 3),
    "features.8": (256, 256, 3, 3),
    "features.11": (512, 256, 3, 3),
    "features.13": (512, 512, 3, 3),
    "embeddings.0": (4096, 12288),
    "embeddings.2": (4096, 4096),
    "embeddings.4": (128, 4096),
}


@functools.cache
def random_vggish() -> dict[str, np.ndarray]:
    """Returns He-initialised weights and random biases, float32."""
    generator = np.random.default_rng(0)
    tensors = {}
    for name, shape in _SHAPES.items():
        scale = np.float32((2 / np.prod(shape[1:])) ** 0.5)
        tensors[f"{name}.weight"] = generator.standard_normal(shape, np.float32) * scale
        tensors[f"{name}.bias"] = np.float32(0.1) * generator.standard_normal(shape[0], np.float32)
    return tensors

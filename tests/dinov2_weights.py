"""Random weights of a DINOv2 network, with the names and shapes of the published file."""

from __future__ import annotations

import functools

import numpy as np

from gan_core.evaluation.extractors.dinov2_network import Size, shapes

SMALL = Size(width=32, blocks=2, heads=4)


@functools.cache
def random_dinov2(size: Size = SMALL) -> dict[str, np.ndarray]:
    """Returns weights, float32, by which every tensor but the mask token changes the features."""
    generator = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes(size).items():
        values = generator.standard_normal(shape, np.float32)
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma")):
            values = 1 + values / 4
        elif name.endswith("weight"):
            values /= np.float32(np.prod(shape[1:]) ** 0.5)
        tensors[name] = values
    return tensors

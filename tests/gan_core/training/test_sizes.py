"""Every network trains on rectangles and on the largest images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import blobs
from recipes import small_training

from gan_core.training.draws import Batch
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

_NETWORKS: list[dict[str, Any]] = [
    {"network": "dcgan"},
    {"network": "resnet", "normalization": "spectral"},
    {"network": "r3gan", "normalization": "none", "r1_weight": 1.0},
    {"network": "fastgan", "loss": "hinge"},
    {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 1.0},
]


def _largest_change_after_a_step(sides: tuple[int, int], changes: dict[str, Any]) -> float:
    shape = (*sides, 1)
    config = small_training(
        **{"batch_size": 2, "generator_width": 2, "discriminator_width": 2, "growth": 4}
        | {"augment": ["color", "translation", "cutout"], "augment_probability": 1.0}
        | changes
    )
    gan = Gan(config, shape)
    before = [variable.numpy().copy() for variable in gan.generator.trainable_variables]
    images = np.resize(blobs(2, seed=1), (1, 1, 2, *shape))
    TrainStep(gan)(Batch(images, None, 255 - images if config.paired else None))
    after = [variable.numpy() for variable in gan.generator.trainable_variables]
    assert all(np.isfinite(array).all() for array in after)
    return max(float(np.abs(new - old).max()) for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize("changes", _NETWORKS, ids=lambda changes: changes["network"])
@pytest.mark.parametrize(
    "sides",
    [(128, 32), *(pytest.param(sides, marks=pytest.mark.repetition) for sides in ((256, 64), (64, 256), (512, 512)))],
)
def test_a_network_trains_on_rectangles_and_large_images(sides: tuple[int, int], changes: dict[str, Any]) -> None:
    assert _largest_change_after_a_step(sides, changes) > 1e-4

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gan_core.config import ImageSettings
from gan_core.data.parameters import PrepareConfig

_IMAGE = {
    "height": 16,
    "width": 16,
    "channels": 1,
    "fit": "center_crop",
    "background": 0,
    "pairs": "none",
    "max_image_megapixels": 100,
}


@pytest.fixture(scope="session")
def image_settings() -> Callable[..., ImageSettings]:
    """Makes the parameters of images, with some of them changed."""

    def make(**changes: Any) -> ImageSettings:
        return ImageSettings.parse(_IMAGE | changes)

    return make


@pytest.fixture(scope="session")
def prepare_config() -> Callable[..., PrepareConfig]:
    """Makes the parameters of the prepare stage, with some of them or of `prepare.image` changed."""
    values = {
        "source": "digits",
        "modality": "auto",
        "label": "auto",
        "held_out_fraction": 0.5,
        "max_rejected_fraction": 0.0,
        "images_per_shard": 7,
        "seed": 0,
    }

    def make(**changes: Any) -> PrepareConfig:
        image = {key: changes.pop(key) for key in _IMAGE if key in changes}
        return PrepareConfig.parse(values | changes | {"image": _IMAGE | image})

    return make

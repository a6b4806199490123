from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gan_core.config import PrepareConfig


@pytest.fixture(scope="session")
def prepare_config() -> Callable[..., PrepareConfig]:
    """Makes the parameters of the prepare stage, with some of them changed."""
    values = {
        "source": "digits",
        "resolution": 16,
        "channels": 1,
        "fit": "center_crop",
        "background": 0,
        "pairs": "none",
        "held_out_fraction": 0.5,
        "max_rejected_fraction": 0.0,
        "max_image_megapixels": 100,
        "images_per_shard": 7,
        "seed": 0,
    }

    def make(**changes: Any) -> PrepareConfig:
        return PrepareConfig.parse(values | changes)

    return make

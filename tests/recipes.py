"""Parameters of trainings for tests: those of params.yaml, with changes that make the training small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gan_core.config import TrainConfig
from gan_core.recipes import IMAGES

_ROOT = Path(__file__).resolve().parent.parent
_SMALL = {
    "latent_size": 8,
    "generator_width": 8,
    "discriminator_width": 8,
    "steps": 30,
    "steps_per_execution": 1,  # TensorFlow traces the step again for every other number
    "batch_size": 8,
    "log_every_images": 40,
    "samples_every_images": 100,
    "ema_half_life_images": 100,
    "score_every_images": 0,
    "checkpoint_every_seconds": 3600,  # no test depends on the speed of the machine
}


def project_parameters() -> dict[str, dict[str, Any]]:
    """Returns the sections of params.yaml."""
    sections: dict[str, dict[str, Any]] = yaml.safe_load((_ROOT / "params.yaml").read_text(encoding="utf-8"))
    return sections


def small_images() -> dict[str, Any]:
    """Returns the section prepare.image for grey images of 16×16 pixels."""
    return {
        **project_parameters()["prepare"]["image"],
        "height": 16,
        "width": 16,
        "channels": 1,
        "max_image_megapixels": 1,
    }


def small_parameters(**changes: Any) -> dict[str, Any]:
    """Returns the train section with `changes`, and the recipe for images where it says auto."""
    return {**project_parameters()["train"], **IMAGES.values, **_SMALL, **changes}


def small_training(**changes: Any) -> TrainConfig:
    """Returns the checked train section with `changes`, unconditional unless they say otherwise."""
    return TrainConfig.parse(small_parameters(**{"conditional": "off", **changes}))

"""Types and limits of every parameter. No parameter has a default here, because the values are in params.yaml."""

from __future__ import annotations

from gan_core.config.audio import AudioSettings
from gan_core.config.drift import DriftConfig
from gan_core.config.evaluate import FEATURE_SIZES, EvaluateConfig
from gan_core.config.image import RESOLUTIONS, ImageSettings, Pairs
from gan_core.config.register import RegisterConfig
from gan_core.config.section import Section, nearest
from gan_core.config.text import TextSettings
from gan_core.config.train import Switch, TrainConfig

__all__ = [
    "FEATURE_SIZES",
    "RESOLUTIONS",
    "AudioSettings",
    "DriftConfig",
    "EvaluateConfig",
    "ImageSettings",
    "Pairs",
    "RegisterConfig",
    "Section",
    "Switch",
    "TextSettings",
    "TrainConfig",
    "nearest",
]

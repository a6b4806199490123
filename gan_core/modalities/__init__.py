"""The modalities by name: how raw files of each kind become arrays. `gan_core.codecs` turns arrays back."""

from __future__ import annotations

from typing import Any

from gan_core.modalities.audio import Audio
from gan_core.modalities.image import Image
from gan_core.modalities.modality import Modality
from gan_core.modalities.text import Text

MODALITIES: dict[str, Modality[Any]] = {"image": Image(), "audio": Audio(), "text": Text()}

"""The section `prepare.audio`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.config.image import RESOLUTIONS
from gan_core.config.section import Section


class AudioSettings(Section):
    """Parameters of the preparation of sound. A spectrogram has frame_length / 2 rows and samples / frame_step columns.

    >>> AudioSettings.parse(params["prepare"]["audio"] | {"rate": 16000}).rate
    16000
    """

    section = "prepare.audio"

    rate: Annotated[int, Field(ge=1000, le=48_000)]
    samples: Annotated[int, Field(ge=1, le=2**20)]
    frame_length: Annotated[int, Field(ge=1, le=2**16)]
    frame_step: Annotated[int, Field(ge=1, le=2**16)]
    trim_decibels: Annotated[float, Field(ge=0, le=60)]
    longer: Literal["crop", "refuse"]
    shorter: Literal["pad", "refuse"]
    max_seconds: Annotated[float, Field(gt=0, le=600)]

    @model_validator(mode="after")
    def _spectrogram_fits(self) -> Self:
        sides = ", ".join(map(str, RESOLUTIONS))
        for rule, broken, names in (
            (
                f"'prepare.audio.frame_length' must be twice the spectrogram's height, which is one of {sides}",
                self.frame_length % 2 != 0 or self.frame_length // 2 not in RESOLUTIONS,
                ("frame_length",),
            ),
            (
                f"'prepare.audio.samples' must be 'frame_step' times the spectrogram's width, which is one of {sides}",
                self.samples % self.frame_step != 0 or self.samples // self.frame_step not in RESOLUTIONS,
                ("samples", "frame_step"),
            ),
            (
                "'prepare.audio.frame_step' must be even and at most half of 'frame_length'",
                self.frame_step % 2 != 0 or self.frame_step > self.frame_length // 2,
                ("frame_step", "frame_length"),
            ),
        ):
            if broken:
                received = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
                raise ValueError(f"The parameter {rule}. Received: {received}")
        return self

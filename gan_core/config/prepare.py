"""The section `prepare`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.config.section import Section, Seed

Pairs = Literal["none", "inpainting", "super_resolution"]

RESOLUTIONS = (16, 28, 32, 64, 128, 256, 512)
"""Heights and widths of the images that the networks can generate, in pixels."""


class PrepareConfig(Section):
    """Parameters of the preparation of raw images.

    >>> PrepareConfig.parse(params["prepare"] | {"source": "digits", "resolution": 32}).resolution
    32
    """

    section = "prepare"

    source: Annotated[str, Field(min_length=1)]
    resolution: int
    channels: Literal[1, 3]
    fit: Literal["center_crop", "pad"]
    background: Annotated[int, Field(ge=0, le=255)]
    pairs: Pairs
    held_out_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_rejected_fraction: Annotated[float, Field(ge=0, lt=1)]
    max_image_megapixels: Annotated[float, Field(gt=0, le=10**4)]
    images_per_shard: Annotated[int, Field(ge=1, le=2**20)]
    seed: Seed

    @model_validator(mode="after")
    def _resolution_fits_the_networks(self) -> Self:
        if self.resolution not in RESOLUTIONS:
            raise ValueError(
                f"The parameter 'prepare.resolution' must be 28 or a power of two from 16 to 512. "
                f"Received: resolution={self.resolution}"
            )
        return self

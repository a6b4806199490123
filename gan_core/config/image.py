"""The section `prepare.image`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gan_core.config.section import OR_AUTO, Section

Pairs = Literal["none", "inpainting", "super_resolution"]

RESOLUTIONS = (16, 28, 32, 64, 128, 256, 512)
"""Heights and widths of the images that the networks can generate, in pixels."""


def _generated(side: int) -> int:
    if side not in RESOLUTIONS:
        raise ValueError("must be 28 or a power of two from 16 to 512")
    return side


Side = Annotated[int, AfterValidator(_generated), OR_AUTO]


class ImageSettings(Section):
    """Parameters of the preparation of images.

    >>> ImageSettings.parse(params["prepare"]["image"] | {"width": 64}).width
    64
    """

    section = "prepare.image"

    height: Side
    width: Side
    channels: Annotated[Literal[1, 3], OR_AUTO]
    fit: Literal["center_crop", "pad"]
    background: Annotated[int, Field(ge=0, le=255)]
    pairs: Pairs
    max_image_megapixels: Annotated[float, Field(gt=0, le=10**4)]

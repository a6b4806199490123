"""The section `drift`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gan_core.config.section import Section


class DriftConfig(Section):
    """The test for drift of new data."""

    section = "drift"

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    blocks: Annotated[int, Field(ge=2, le=10**4)]
    kid_threshold: Annotated[float, Field(ge=0)]
    class_share_threshold: Annotated[float, Field(ge=0, lt=1)]

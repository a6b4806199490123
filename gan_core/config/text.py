"""The section `prepare.text`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gan_core.config.section import Section


class TextSettings(Section):
    """Parameters of the preparation of texts."""

    section = "prepare.text"

    max_length: Annotated[int, Field(ge=1, le=512)]

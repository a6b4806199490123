"""The section `register`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from gan_core.config.section import Section


class RegisterConfig(Section):
    """The name of the registered model, the rule by which a generator becomes its champion, and words for its card.

    >>> RegisterConfig.parse(params["register"] | {"score": "kid_classifier"}).score
    'kid_classifier'
    """

    section = "register"

    model_name: str
    score: str
    minimum_improvement: Annotated[float, Field(ge=0, lt=1)]
    spread_multiplier: Annotated[float, Field(ge=0)]
    data_licence: Annotated[str, Field(min_length=1, max_length=1000)]
    intended_use: Annotated[str, Field(min_length=1, max_length=10_000)]

    def rule(self) -> dict[str, str | float]:
        """Returns the parameters that decide; the others are words for the model card."""
        return self.model_dump(exclude={"data_licence", "intended_use"})

    @field_validator("score")
    @classmethod
    def _score_is_a_distance(cls, score: str) -> str:
        if not re.fullmatch(r"auto|(fid|fad)(_infinity)?|(fd|fd_infinity|kid)_[a-z0-9_]+|target_l1", score):
            raise ValueError(
                "must be auto or name a distance (lower is better), such as fid, fad, fd_classifier, kid_classifier or "
                "target_l1"
            )
        return score

    @field_validator("model_name")
    @classmethod
    def _name_fits_the_registry(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_. -]{1,256}", name) or name.isspace() or name == "." or name.startswith(".."):
            raise ValueError(
                "must be auto, or a name of at most 256 letters, digits, spaces, '_', '.' and '-' that does not start "
                "with '..'"
            )
        return name

"""The section `prepare`: parameters of any data, and a nested section for each modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, field_validator

from gan_core.config import Section
from gan_core.config.section import Seed
from gan_core.errors import InvalidInput
from gan_core.modalities import MODALITIES

_MOVED = {
    "resolution": "'prepare.image.height' and 'prepare.image.width'",
    **{key: f"'prepare.image.{key}'" for key in ("channels", "fit", "background", "pairs", "max_image_megapixels")},
}
"""Parameters that stood in `prepare` itself when there were only images, and their present places."""


class PrepareConfig(Section):
    """Parameters of the preparation of raw data.

    >>> config = PrepareConfig.parse(params["prepare"] | {"source": "digits"})
    >>> config.of("image").height
    16
    """

    section = "prepare"

    source: Annotated[str, Field(min_length=1)]
    modality: str
    label: Annotated[str, Field(min_length=1)]
    held_out_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_rejected_fraction: Annotated[float, Field(ge=0, lt=1)]
    images_per_shard: Annotated[int, Field(ge=1, le=2**20)]
    seed: Seed
    _nested: dict[str, Section] = PrivateAttr(default_factory=dict)

    @field_validator("modality")
    @classmethod
    def _modality_exists(cls, modality: str) -> str:
        if modality != "auto" and modality not in MODALITIES:
            raise ValueError(f"must be auto, {', '.join(MODALITIES)}")
        return modality

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Checks `values`, with the nested sections that it contains, and returns the section."""
        if not isinstance(values, Mapping):
            return super().parse(values)
        problems = [sentence for key, value in values.items() if (sentence := moved(key, value))]
        nested: dict[str, Section] = {}
        for name, modality in MODALITIES.items():
            try:
                nested |= {name: modality.settings.parse(values[name])} if name in values else {}
            except InvalidInput as error:
                problems.append(str(error))
        try:
            config = super().parse({key: values[key] for key in values if key not in {*MODALITIES, *_MOVED}})
        except InvalidInput as error:
            problems.append(str(error))
        if problems:
            raise InvalidInput("\n".join(problems))
        config._nested.update(nested)
        return config

    def of(self, modality: str) -> Any:
        """Returns the nested section of the modality of the data.

        Raises:
            InvalidInput: there is none.
        """
        if modality not in self._nested:
            raise InvalidInput(
                f"The parameters must have the section 'prepare.{modality}' for data of this modality; a pipeline that "
                "is compiled for other data has none, so give all of it, as a preset does. Received: "
                f"{', '.join(f'prepare.{name}' for name in self._nested) or 'none'}, source={self.source!r}"
            )
        return self._nested[modality]

    def recorded(self, modality: str, settings: Section) -> dict[str, str | int | float]:
        """Returns the parameters that were used, those of the modality as `<modality>.<key>`."""
        own = {f"{modality}.{key}": value for key, value in settings.model_dump().items()}
        return self.model_dump() | {"modality": modality} | own


def moved(key: str, value: object) -> str | None:
    """Returns the sentence that names the present place of an earlier parameter; None for any other name."""
    return f"The parameter 'prepare.{key}' is now {_MOVED[key]}. Received: {key}={value!r}" if key in _MOVED else None

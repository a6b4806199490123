"""What all sections of params.yaml share.

Kubeflow stores a dict input as a protobuf Struct, which turns every integer into a float. So an integer parameter
accepts 10.0 as 10 and refuses 10.5.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, WrapValidator, field_validator

from gan_core.errors import InvalidInput
from gan_core.record import Record

Seed = Annotated[int, Field(ge=0, lt=2**31)]
OR_AUTO = WrapValidator(lambda value, check: value if value == "auto" else check(value))
"""Marks a parameter that may be `auto`. `auto` is replaced when the data are known, so its type does not name it."""


class Section(Record):
    """One section of params.yaml. It is immutable, requires every key and refuses unknown keys, NaN and infinity.

    Attributes:
        section: the section's name, which is also the stage's.
    """

    section: ClassVar[str]
    model_config = ConfigDict(allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_boolean_as_number(cls, value: Any, field: ValidationInfo) -> Any:
        kind = cls.model_fields[str(field.field_name)].annotation
        if isinstance(value, bool) and (kind in (int, float) or {type(one) for one in get_args(kind)} == {int}):
            raise ValueError("must be a number")
        return value

    @property
    def automatic(self) -> list[str]:
        """The names of the parameters that are `auto` and must be replaced before they are used."""
        return [name for name, value in self if value == "auto" and OR_AUTO in type(self).model_fields[name].metadata]

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Checks `values` and returns the section.

        Raises:
            InvalidInput: one line for each wrong key, with the rule and the value received.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidInput("\n".join(_sentence(entry, cls) for entry in error.errors())) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a hint that names the most similar known name; empty if none is similar to `name`."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f", the nearest is '{found[0]}'" if found else ""


def _sentence(entry: Any, section: type[Section]) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    name = f"{section.section}.{key}"
    if entry["type"] == "missing":
        return f"The parameter '{name}' is missing. Received: nothing"
    if entry["type"] == "extra_forbidden":
        hint = nearest(key, section.model_fields)
        return f"There is no parameter '{name}'{hint}. Received: {key}={entry['input']!r}"
    rule = entry["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must", 1)
    if not key:
        return rule if entry["type"] == "value_error" else f"The parameters {rule}. Received: {entry['input']!r}"
    if OR_AUTO in section.model_fields[str(entry["loc"][0])].metadata:
        rule += ", or be auto"
    # An element of a list has its full name in both places.
    received = name if len(entry["loc"]) > 1 else key
    return f"The parameter '{name}' {rule}. Received: {received}={entry['input']!r}"

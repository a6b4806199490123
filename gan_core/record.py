"""The base class of records that are stored as JSON or YAML."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """A record that is immutable and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def faults(error: ValidationError) -> list[str]:
    """Returns a text for each fault that pydantic found: the key, unless the whole value is wrong, and the reason."""
    found = []
    for entry in error.errors():
        key = ".".join(str(part) for part in entry["loc"])
        reason = entry["msg"].removeprefix("Value error, ")
        found.append(f"{key}: {reason}" if key else reason)
    return found

"""The base of the records that are stored as JSON or YAML."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """A record that is immutable and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def faults(error: ValidationError) -> list[str]:
    """Returns what pydantic found wrong: for each fault the key, unless the whole value is at fault, and the reason."""
    found = []
    for entry in error.errors():
        key = ".".join(str(part) for part in entry["loc"])
        reason = entry["msg"].removeprefix("Value error, ")
        found.append(f"{key}: {reason}" if key else reason)
    return found

"""The record of a projection, `latent.json`: the found latent, and how near its image is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from gan_core.errors import InvalidInput
from gan_core.record import Record, faults
from gan_core.untrusted_files import read_bytes

_MOST_BYTES = 2**24


class FoundLatent(Record):
    """The content of a `latent.json`.

    Attributes:
        digital_source_type, model, digest, seed, truncation, label: as in `Provenance.record`.
        steps: the steps at which the differences were recorded.
        pixel_differences, feature_differences: see `gan_core.projection.Projection`.
        class_differences: the smallest sum of both for each tried class.
        latent: the found latent, of the generator's latent size.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    digital_source_type: str
    model: str
    digest: str
    seed: str
    truncation: float
    label: str
    steps: tuple[int, ...]
    pixel_differences: tuple[float, ...]
    feature_differences: tuple[float, ...]
    class_differences: dict[str, float]
    latent: tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...]


def read_latent(path: Path, digest: str, latent_size: int) -> FoundLatent:
    """Reads the record of a projection with the generator of this digest and latent size.

    Raises:
        InvalidInput: it cannot be read, is no such record, or belongs to another generator.
    """
    try:
        found = FoundLatent.model_validate_json(read_bytes(path, _MOST_BYTES))
    except OSError as error:
        raise InvalidInput(f"A found latent must be a readable file: {error.strerror}. Received: {path}") from None
    except ValidationError as error:
        raise InvalidInput(
            f"A found latent must be the latent.json of components.project: {faults(error)[0]}. Received: {path}"
        ) from None
    if found.digest != digest:
        raise InvalidInput(
            f"A latent must have been found with the same generator, here {digest}. Received: {path}, found with "
            f"{found.digest}"
        )
    if len(found.latent) != latent_size:
        raise InvalidInput(f"A latent must have {latent_size} numbers. Received: {path} with {len(found.latent)}")
    return found

"""The codecs by the name of their modality, and how a stored record names its codec.

Records that were written before there were modalities have no codec; their arrays are images. Images need none either,
so the files of image data and image generators do not change.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import Field, PlainSerializer, PlainValidator

from gan_core.codecs.audio import AudioCodec
from gan_core.codecs.codec import Codec
from gan_core.codecs.image import ImageCodec
from gan_core.codecs.text import TextCodec

CODECS: dict[str, type[Codec]] = {"image": ImageCodec, "audio": AudioCodec, "text": TextCodec}


def _read(value: Any) -> Codec | None:
    if value is None or isinstance(value, Codec):
        return value
    name = value.get("modality") if isinstance(value, dict) else None
    if name not in CODECS:
        raise ValueError(f"modality must be one of {', '.join(CODECS)}, not {name!r}")
    return CODECS[name].model_validate(value)


def _write(codec: Codec | None) -> dict[str, Any] | None:
    return None if codec is None else codec.model_dump(mode="json")


StoredCodec = Annotated[
    Codec | None, PlainValidator(_read), PlainSerializer(_write), Field(exclude_if=lambda codec: codec is None)
]
"""The type of the field `codec` in a stored record; None and absent in the file for images."""


class Described(Protocol):
    """A manifest or a generator's metadata."""

    @property
    def codec(self) -> Codec | None:
        """The codec; None for images."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of a stored array."""


def codec_of(described: Described) -> Codec:
    """Returns the codec of a data set or a generator."""
    return described.codec or ImageCodec(shape=described.shape)


def stored(codec: Codec) -> Codec | None:
    """Returns the value of the field `codec` in a record: None for images."""
    return None if isinstance(codec, ImageCodec) else codec

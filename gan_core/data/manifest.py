"""What a prepared data set says about itself: `manifest.json`, whose digest is the data's version."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan_core.errors import InvalidInput

Split = Literal["train", "held_out"]
FILE_NAME = "manifest.json"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardEntry(_Entry):
    """One pair of shard files.

    Attributes:
        images: name of an .npy file, uint8 [count, H, W, C].
        labels: name of an .npy file, int32 [count]; None if the data has no labels.
        inputs: name of an .npy file like that of the images, of which it has the pairs' inputs; None without pairs.
        images_sha256, labels_sha256, inputs_sha256: hexadecimal digests of the files.
    """

    split: Split
    count: Annotated[int, Field(ge=1)]
    images: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")]
    images_sha256: str
    labels: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")] | None
    labels_sha256: str | None
    inputs: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")] | None = None
    inputs_sha256: str | None = None


class ClassEntry(_Entry):
    """A class of images: its position in the manifest is its label."""

    name: str
    train: int
    held_out: int


class RejectedEntry(_Entry):
    """An image that was set aside, by its path below the source, and why."""

    path: str
    reason: str


class Manifest(_Entry):
    """The data set as a whole.

    Attributes:
        digest: `sha256-<hex>` of the decoded images, their labels and the split; the same for the same content on
            every machine and in any file order.
        source: what `prepare.source` named.
        shape: height, width, channels.
        counts: images in each split.
        classes: in order of label; empty if the data has no labels.
        mean, standard_deviation: of each channel over the train split, in grey levels 0..255.
        settings: the parameters it was prepared with.
    """

    format: Literal[1]
    digest: Annotated[str, Field(pattern=r"^sha256-[0-9a-f]{64}$")]
    source: str
    shape: tuple[int, int, int]
    counts: dict[Split, int]
    classes: tuple[ClassEntry, ...]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    settings: dict[str, str | int | float]
    shards: tuple[ShardEntry, ...]
    rejected: tuple[RejectedEntry, ...]

    @classmethod
    def parse(cls, text: str | bytes, place: str) -> Manifest:
        """Reads the text of a manifest file found at `place`.

        Raises:
            InvalidInput: it is not a manifest.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"The manifest is not valid: {key}: {first['msg']}. Received: {place}") from None

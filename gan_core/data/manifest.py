"""The manifest of a prepared data set, `manifest.json`. Its digest is the data's version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from gan_core.codecs import StoredCodec, codec_of
from gan_core.codecs.codec import Side
from gan_core.digests import json_digest
from gan_core.errors import InvalidInput
from gan_core.record import Record, faults

Split = Literal["train", "held_out"]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_NAMED = 5


def first_names(names: Sequence[str]) -> str:
    """Returns the first names as text for a message, with an ellipsis if there are more."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


class _Entry(Record):
    model_config = ConfigDict(allow_inf_nan=False)


class ShardEntry(_Entry):
    """The files of one shard.

    Attributes:
        images: name of an .npy file, uint8 [count, H, W, C].
        labels: name of an .npy file, int32 [count]; None if the data has no labels.
        inputs: name of an .npy file with the input images of the pairs, uint8 [count, H, W, C]; None without pairs.
        images_sha256, labels_sha256, inputs_sha256: hexadecimal digests of the files.
    """

    split: Split
    count: Annotated[int, Field(ge=1)]
    images: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")]
    images_sha256: Sha256
    labels: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")] | None
    labels_sha256: Sha256 | None
    inputs: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.npy$")] | None = None
    inputs_sha256: Sha256 | None = None


class ClassEntry(_Entry):
    """A class of items. Its position in the manifest is its label."""

    name: str
    train: Count
    held_out: Count


class RejectedEntry(_Entry):
    """A rejected item: its path below the source, and the reason."""

    path: str
    reason: str


class Manifest(_Entry):
    """Description of a prepared data set.

    Attributes:
        digest: `sha256-<hex>` of the decoded items, their labels, the split and the codec. The same content gives the
            same digest on every machine and in any file order.
        source: value of `prepare.source`.
        shape: height, width, channels of a stored array.
        codec: turns the stored arrays into what a person perceives; None for images. `codec_of` returns it for all.
        counts: number of items in each split.
        classes: in label order; empty if the data has no labels.
        mean, standard_deviation: one number for each channel, over the train split, in grey levels 0..255.
        settings: the parameters with which the data was prepared: those of `prepare`, and `<modality>.<key>`.
        seal: SHA-256 of all other values, which reveals manual changes; None in manifests of earlier versions.
    """

    format: Literal[1]
    digest: Annotated[str, Field(pattern=r"^sha256-[0-9a-f]{64}$")]
    source: str
    shape: tuple[Side, Side, Side]
    codec: StoredCodec = None
    counts: dict[Split, Count]
    classes: tuple[ClassEntry, ...]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    settings: dict[str, str | int | float]
    shards: tuple[ShardEntry, ...]
    rejected: tuple[RejectedEntry, ...]
    seal: Sha256 | None = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        counts = Counter[str]()
        for entry in self.shards:
            counts[entry.split] += entry.count
        names = [name for entry in self.shards for name in (entry.images, entry.labels, entry.inputs) if name]
        for rule, is_satisfied in (
            ("counts must match the shards", {k: n for k, n in self.counts.items() if n} == dict(counts)),
            ("no two shards may have the same file", len(names) == len(set(names))),
            (
                "each shard must have a SHA-256 for each of its files, and labels if there are classes",
                all(
                    bool(entry.labels) == bool(self.classes)
                    and (entry.labels is None) == (entry.labels_sha256 is None)
                    and (entry.inputs is None) == (entry.inputs_sha256 is None)
                    for entry in self.shards
                ),
            ),
            ("the codec must have the shape of the arrays", self.codec is None or self.codec.shape == self.shape),
            ("class names must differ", len({entry.name for entry in self.classes}) == len(self.classes)),
            ("either all shards must have inputs or none", len({entry.inputs is None for entry in self.shards}) < 2),
            (
                "the classes' counts must match the splits",
                not self.classes
                or all(
                    sum(getattr(entry, split) for entry in self.classes) == counts[split]
                    for split in ("train", "held_out")
                ),
            ),
            (
                "mean and standard_deviation must have a value for each channel",
                len(self.mean) == len(self.standard_deviation) == self.shape[2],
            ),
            (
                "its content must match its seal, but was changed after prepare wrote it; prepare or fetch it again",
                self.seal in (None, self._content_digest()),
            ),
        ):
            if not is_satisfied:
                raise ValueError(rule)
        return self

    def sealed(self) -> Self:
        """Returns the manifest with its seal, as it is written to disk."""
        return self.model_copy(update={"seal": self._content_digest()})

    def _content_digest(self) -> str:
        # Defaults are left out, so that a field added by a later version does not change seals.
        values = self.model_dump(mode="json", exclude={"seal"}, exclude_defaults=True)
        return json_digest(values)

    @property
    def item(self) -> str:
        """The codec's word for an example."""
        return codec_of(self).item

    def classes_without(self, split: Split) -> list[str]:
        """Names of the classes that have no image in the split, in label order."""
        return [entry.name for entry in self.classes if not getattr(entry, split)]

    def warnings(self) -> list[str]:
        """Warnings about classes whose images are all in one split."""
        warnings = []
        sides: tuple[tuple[Split, str, str, str], ...] = (
            ("train", "training", "so no network learns them", "lower"),
            ("held_out", "held-out", "so no score measures them", "raise"),
        )
        for split, kind, consequence, remedy in sides:
            if names := self.classes_without(split):
                warnings.append(
                    f"{len(names)} of {len(self.classes)} classes have no {kind} {self.item}, {consequence}: "
                    f"{first_names(names)}. Add {self.item}s, {remedy} prepare.held_out_fraction or change "
                    "prepare.seed."
                )
        return warnings

    @classmethod
    def parse(cls, text: str | bytes, place: str) -> Manifest:
        """Reads the text of a manifest file found at `place`.

        Raises:
            InvalidInput: it is not a manifest.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"The manifest is not valid: {faults(error)[0]}. Received: {place}") from None

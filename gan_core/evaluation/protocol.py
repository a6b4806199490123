"""How a score was made, and the record of an evaluation. Scores compare only under equal protocols."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gan_core.errors import InvalidInput


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Protocol(_Entry):
    """Everything a score depends on besides the generator.

    Attributes:
        extractor: name of the network whose features are compared.
        extractor_digest: `sha256-<hex>` of its weights; for a network trained here, of what determines them.
        resize: name of the way images reach the extractor's resolution.
        reference: split of the real images, or what else they are; `reference_digest` of their content,
            `reference_count` their number, 0 if a statistics file does not tell it.
        samples: generated images for each of `sampling_seeds`, which is empty where no generator is at hand.
        kid_subsets, kid_subset_size: subsets of the kernel distance.
    """

    extractor: str
    extractor_digest: str
    resize: str
    reference: str
    reference_digest: str
    reference_count: int
    samples: int
    sampling_seeds: tuple[int, ...]
    kid_subsets: int
    kid_subset_size: int

    def differences(self, other: Protocol) -> list[str]:
        """What differs, `name: mine, not theirs`; empty if scores under the two compare."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [f"{name}: {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


class Evaluation(_Entry):
    """The record that components.evaluate writes.

    Attributes:
        scores: each score's mean over the sampling seeds. A score is named `<metric>_<extractor>`; the Fréchet
            distance on the 2015 Inception's features alone is named `fid`.
        spread: each score's standard deviation over the sampling seeds (ddof 1; 0 for one seed).
        standard_errors: bootstrap standard errors over the images, of the scores that have one.
        extractor_accuracy: share of held-out images that an extractor with classes names rightly.
        warnings: sentences a reader of the scores must know.
        images_seen, dataset_digest: of the generator's training; 0 and empty where no generator is at hand.
        tracking_run_id: the MLflow run of the generator's training.
    """

    format: Literal[1]
    scores: dict[str, float]
    spread: dict[str, float]
    standard_errors: dict[str, float] = {}
    extractor_accuracy: float | None = None
    warnings: tuple[str, ...]
    protocol: Protocol
    images_seen: int
    dataset_digest: str
    tracking_run_id: str | None

    @classmethod
    def parse(cls, text: str, place: str) -> Evaluation:
        """Reads the text of a record found at `place`.

        Raises:
            InvalidInput: it is not such a record.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(
                f"The evaluation's record is not valid: {key}: {first['msg']}. Received: {place}"
            ) from None

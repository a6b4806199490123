"""How a score was made, and the record of an evaluation. Scores compare only under equal protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gan_core import metric_names
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
        return [
            f"{name}: {mine[name]}, not {theirs[name]}{_CONSEQUENCES.get(name, '')}"
            for name in mine
            if mine[name] != theirs[name]
        ]


_CONSEQUENCES = {
    "reference_count": " real images (the Fréchet distance falls as their number grows)",
    "samples": " generated images (the Fréchet distance falls as their number grows)",
}


class Interval(_Entry):
    """Where the score of other images of the same number would lie in 95 % of repetitions."""

    low: float
    high: float


class ClassScores(_Entry):
    """A class of the data, by the generator's labels or else as the extractor sees it.

    Attributes:
        name: of the class.
        real_share, generated_share: its share of the real and of the generated images, 0 to 1.
        scores: made of the class's images alone, for the first sampling seed; empty if there are too few.
    """

    name: str
    real_share: float
    generated_share: float
    scores: dict[str, float]


class ChampionScores(_Entry):
    """The scores of the champion at the time, under the protocol of the record they are part of.

    Attributes:
        generator_digest: which generator that was.
        scores, spread, standard_errors: as of the record.
    """

    generator_digest: str
    scores: dict[str, float]
    spread: dict[str, float]
    standard_errors: dict[str, float]


class Evaluation(_Entry):
    """The record that components.evaluate writes.

    Attributes:
        scores: each score's mean over the sampling seeds. A score is named `<metric>_<extractor>`; the Fréchet
            distance on the 2015 Inception's features alone is named `fid`.
        spread: each score's standard deviation over the sampling seeds (ddof 1; 0 for one seed).
        standard_errors: over the images, of the scores that have one: the Fréchet distance's by the bootstrap, the
            kernel distance's by its variance.
        intervals: 95 % intervals over the images, of the same scores.
        classes: each class in the order of labels; empty if nothing tells the classes apart.
        extractor_accuracy: share of held-out images that an extractor with classes names rightly.
        warnings: sentences a reader of the scores must know.
        images_seen, dataset_digest: of the generator's training; 0 and empty where no generator is at hand.
        tracking_run_id: the MLflow run of the generator's training.
        generator_digest: of the generator's files, as `export.generator_digest` gives it; None where no generator is at
            hand, and in records of earlier versions.
        champion: None if there was none, or it could not be scored.
    """

    format: Literal[1]
    scores: dict[str, float]
    spread: dict[str, float]
    standard_errors: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    classes: tuple[ClassScores, ...] = ()
    extractor_accuracy: float | None = None
    warnings: tuple[str, ...]
    protocol: Protocol
    images_seen: int
    dataset_digest: str
    tracking_run_id: str | None
    generator_digest: str | None = None
    champion: ChampionScores | None = None

    def figures(self) -> dict[str, float]:
        """The figures by name, `scores/fd_classifier`, without those of a class."""
        parts = {"scores", "spread", "standard_errors", "intervals", "extractor_accuracy"}
        return {metric_names.score(place): value for place, value in _leaves(self.model_dump(include=parts))}

    @classmethod
    def parse(cls, text: str | bytes, place: str) -> Evaluation:
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


def _leaves(entry: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{name}.")
        elif isinstance(value, int | float):
            yield f"{place}{name}", value

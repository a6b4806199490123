"""The protocol of a score, and the record of an evaluation. Only scores with equal protocols can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from gan_core import metric_names
from gan_core.errors import InvalidInput
from gan_core.evaluation.accuracy_record import ClassAccuracy
from gan_core.evaluation.text_record import TextTable
from gan_core.record import Record, faults


class Protocol(Record):
    """Everything that a score depends on, except the generator.

    Attributes:
        extractor: name of the network whose features are compared.
        extractor_digest: `sha256-<hex>` of its weights or, for a network that this project trains, of everything that
            determines them.
        resize: name of the method that brings images to the extractor's resolution, or clips to its rate and length.
        reference: the real images: a split, `files` or `statistics`.
        reference_digest: digest of their content.
        reference_count: number of real images; 0 if a statistics file does not hold it.
        samples: number of generated images, for each sampling seed.
        sampling_seeds: seeds of the generated images; empty if images are given instead of a generator.
        kid_subsets, kid_subset_size: number and size of the kernel distance's subsets.
        features_kept: the scores that compare single images (kernel distance, precision, recall, density, coverage,
            memorisation) use at most this number of images of each set, the first. Prepared data is in the order of its
            digests, and files are shuffled, so these are a random subset. All versions have used this number.
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
    features_kept: int = 10_000

    def differences(self, other: Protocol) -> list[str]:
        """Returns the differences as `name: mine, not theirs`; empty if scores under both protocols can be compared."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [
            f"{name}: {mine[name]}, not {theirs[name]}{_CONSEQUENCES.get(name, '')}"
            for name in mine
            if mine[name] != theirs[name]
        ]


_CONSEQUENCES = {
    "reference_count": " real examples (the Fréchet distance falls as their number grows)",
    "samples": " generated examples (the Fréchet distance falls as their number grows)",
}


class Interval(Record):
    """A 95 % confidence interval for the mean score of other image sets of the same size."""

    low: float
    high: float


class ClassScores(Record):
    """The scores of one class. An image's class is its label, or else the extractor's prediction.

    Attributes:
        name: name of the class.
        real_share, generated_share: the class's share of the real and of the generated images, 0 to 1.
        scores: computed from the class's images only, for the first sampling seed; empty if there are too few images.
    """

    name: str
    real_share: float
    generated_share: float
    scores: dict[str, float]


class ChampionScores(Record):
    """The scores of the champion at the time of an evaluation, under that evaluation's protocol.

    Attributes:
        generator_digest: digest of the champion's generator.
        scores, spread, standard_errors: as in `Evaluation`.
    """

    generator_digest: str
    scores: dict[str, float]
    spread: dict[str, float]
    standard_errors: dict[str, float]


class FloorScores(Record):
    """Distances of a set of items from half of the real items, which are untouched.

    Attributes:
        name: the set.
        count: number of items in each of the two sets.
        fd, kid: Fréchet and kernel distance.
        fd_interval, kid_interval: their 95 % intervals over the choice of items.
    """

    name: str
    count: int
    fd: float
    fd_interval: Interval
    kid: float
    kid_interval: Interval


class Evaluation(Record):
    """The record that components.evaluate writes.

    Attributes:
        scores: mean of each score over the sampling seeds. A score is named `<metric>_<extractor>`; only the Fréchet
            distance on the 2015 Inception's features is named `fid`, and that on VGGish's `fad`.
        spread: standard deviation of each score over the sampling seeds (ddof 1; 0 for one seed).
        standard_errors: standard errors over the images, of the Fréchet distance (by the bootstrap) and of the kernel
            distance (from its variance). Other scores have none.
        intervals: 95 % confidence intervals of the same scores.
        classes: scores of each class in label order; empty if the classes cannot be determined.
        extractor_accuracy: share of held-out images that the extractor classifies correctly; None if it was not
            measured.
        warnings: sentences that a reader of the scores must know about.
        images_seen, dataset_digest: of the generator's training; 0 and empty if images are given instead of a
            generator.
        tracking_run_id: the MLflow run of the generator's training.
        generator_digest: digest of the generator's files, from `export.generator_digest`; None if images are given
            instead of a generator, and in records of earlier versions.
        class_accuracy: how well a classifier recognises the classes of real and generated examples; None without
            classes, and in records of earlier versions.
        codec_floor: for data whose codec loses something, distances that show what the codec alone costs.
        texts: for texts, their scores beside those of a language model and of real texts.
        champion: the champion's scores; None if there was no champion or it could not be scored.

    >>> Evaluation.parse(evaluation.model_dump_json(), "scores.json") == evaluation
    True
    """

    format: Literal[1]
    scores: dict[str, float]
    spread: dict[str, float]
    standard_errors: dict[str, float] = Field(default_factory=dict)
    intervals: dict[str, Interval] = Field(default_factory=dict)
    classes: tuple[ClassScores, ...] = ()
    extractor_accuracy: float | None = None
    warnings: tuple[str, ...]
    protocol: Protocol
    images_seen: int
    dataset_digest: str
    tracking_run_id: str | None
    generator_digest: str | None = None
    class_accuracy: ClassAccuracy | None = Field(default=None, exclude_if=lambda accuracy: accuracy is None)
    codec_floor: tuple[FloorScores, ...] = Field(default=(), exclude_if=lambda rows: not rows)
    texts: TextTable | None = Field(default=None, exclude_if=lambda table: table is None)
    champion: ChampionScores | None = None

    def metrics(self) -> dict[str, float]:
        """Returns scores and uncertainties by name, such as `scores/fd_classifier`, without those of single classes."""
        parts = {"scores", "spread", "standard_errors", "intervals", "extractor_accuracy"}
        values = self.model_dump(include=parts)
        if self.texts:
            values["texts"] = {name: column.means for name, column in self.texts.columns().items()}
        figures = dict(_leaves(values)) | (self.class_accuracy.metrics() if self.class_accuracy else {})
        return {metric_names.score(place): value for place, value in figures.items()}

    @classmethod
    def parse(cls, text: str | bytes, place: str) -> Evaluation:
        """Reads the text of a record found at `place`.

        Raises:
            InvalidInput: it is not such a record.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"The evaluation's record is not valid: {faults(error)[0]}. Received: {place}") from None


def _leaves(entry: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{name}.")
        elif isinstance(value, int | float):
            yield f"{place}{name}", value

"""Subjects → features → the record of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from gan_core.config import EvaluateConfig
from gan_core.evaluation.cache import file_digest
from gan_core.evaluation.classes import Classes, find_classes, score_classes
from gan_core.evaluation.confidence import bootstrap_distances, distance_interval, normal_interval
from gan_core.evaluation.extractors.features import Counting, Extractor, FeatureSet, extract, extract_cached
from gan_core.evaluation.images import Collection, GeneratedImages
from gan_core.evaluation.metrics.condition_match import class_agreement, target_scores
from gan_core.evaluation.metrics.kernel import kernel_standard_error
from gan_core.evaluation.metrics.overlap import shared_images
from gan_core.evaluation.protocol import Evaluation, Interval, Protocol
from gan_core.evaluation.real_and_generated import Source, Subjects
from gan_core.evaluation.score_warnings import warnings
from gan_core.evaluation.scores import MEANINGS, score, score_name
from gan_core.evaluation.statistics import read_statistics
from gan_core.export import Generator, load_generator

Value = TypeVar("Value")


@dataclass(frozen=True)
class Generated:
    """Generated images with their features.

    Attributes:
        draws: features, one set for each sampling seed.
        seeds: the sampling seeds; empty if only images are given.
        generator: the generator that drew them; None if only images are given.
        first: the first draw with its images.
        asked: for each draw, how well it matches what was asked for, by metric; empty if only images are given or the
            generator is unconditional.
    """

    draws: list[FeatureSet]
    seeds: tuple[int, ...]
    generator: Generator | None
    first: Collection
    asked: list[dict[str, float]]


@dataclass(frozen=True)
class Measured:
    """The subjects of an evaluation with their features.

    Attributes:
        subjects: what was measured.
        reference: name of the real images in the protocol.
        reference_digest: digest of their content.
        real: their features, or only statistics.
        training: features of the training images; None if they are unknown or are the real images.
        generated: the generated images.
    """

    subjects: Subjects
    reference: str
    reference_digest: str
    real: FeatureSet
    training: FeatureSet | None
    generated: Generated

    def classes(self, extractor: Extractor) -> Classes | None:
        """The class of each image; None if it cannot be determined."""
        if self.subjects.real is None:
            return None
        real = Collection(self.subjects.real.images, self.real)
        return find_classes(self.subjects.classes, extractor, real, self.generated.first)


def measure(
    config: EvaluateConfig, subjects: Subjects, extractor: Extractor, cache: Path, counting: Counting
) -> Measured:
    """Extracts the features of both sides; those of images on disk are cached.

    Raises:
        InvalidInput: an image, the generator or the statistics cannot be read, or do not fit the extractor.
    """

    def of_source(source: Source, description: str) -> FeatureSet:
        content = {"digest": source.digest, "name": source.name}
        with counting(source.images.count, description) as advance:
            return extract_cached(extractor, source.images.batches(config.batch_size), content, cache, advance)

    if subjects.real:
        reference, digest = subjects.real.name, subjects.real.digest
        real = of_source(subjects.real, "real")
    else:
        reference, digest = "statistics", file_digest(subjects.real_path)
        real = read_statistics(subjects.real_path, extractor)
    training = of_source(subjects.training, "training") if subjects.training else None
    if subjects.generated:
        features = of_source(subjects.generated, "generated")
        labels = subjects.generated.labels if subjects.generated.classes == subjects.classes else None
        generated = Generated([features], (), None, Collection(subjects.generated.images, features, labels), [{}])
    else:
        generator = load_generator(subjects.generated_path)
        generated = draw(config, generator, extractor, counting, description="generated", subjects=subjects)
    return Measured(subjects, reference, digest, real, training, generated)


def draw(
    config: EvaluateConfig,
    generator: Generator,
    extractor: Extractor,
    counting: Counting,
    *,
    description: str,
    subjects: Subjects,
) -> Generated:
    """Draws a generator's images for every sampling seed and extracts their features.

    A paired generator makes images from the input images in `subjects` and is scored against their targets. A
    conditional generator's labels are ignored if its classes differ from the data's.
    """
    seeds = tuple(range(config.seed, config.seed + config.sampling_seeds))
    images = [GeneratedImages(generator, config.samples, seed, subjects.inputs) for seed in seeds]
    labels = [drawn.labels if subjects.classes == generator.metadata.classes else None for drawn in images]
    with counting(config.samples * len(seeds), description) as advance:
        draws = [extract(extractor, drawn.batches(config.batch_size), advance) for drawn in images]
    if generator.metadata.paired and subjects.real:
        targets = subjects.real.images
        of_pairs = [GeneratedImages(generator, targets.count, seed, subjects.inputs) for seed in seeds]
        with counting(targets.count * len(seeds), f"{description} pairs") as advance:
            asked = [target_scores(drawn, targets, config.batch_size, advance) for drawn in of_pairs]
    else:
        asked = [class_agreement(extractor, *drawn) for drawn in zip(draws, labels, strict=True)]
    return Generated(draws, seeds, generator, Collection(images[0], draws[0], labels[0]), asked)


def evaluate(config: EvaluateConfig, extractor: Extractor, measured: Measured) -> Evaluation:
    """Scores each draw and combines the scores into the record of the evaluation.

    Raises:
        InvalidInput: there are too few images for a score.
    """
    real, draws = measured.real, measured.generated.draws
    count = draws[0].count
    kid_subset_size = min(config.kid_subset_size, *(len(images.features) for images in (real, *draws)))
    figures = [
        score(
            real,
            drawn,
            measured.training,
            extractor,
            metrics=config.metrics,
            kid_subsets=config.kid_subsets,
            kid_subset_size=kid_subset_size,
            seed=config.seed,
        )
        | asked
        for drawn, asked in zip(draws, measured.generated.asked, strict=True)
    ]
    means = {metric: float(np.mean([one[metric] for one in figures])) for metric in MEANINGS if metric in figures[0]}
    spread = {metric: _standard_deviation([one[metric] for one in figures]) for metric in means}
    frechet_error, errors, intervals = _uncertainty(config, means, real, draws[0])
    training = measured.training
    classes = measured.classes(extractor)
    generator = measured.generated.generator.metadata if measured.generated.generator else None

    def named(values: dict[str, Value]) -> dict[str, Value]:
        return {score_name(metric, extractor.name): value for metric, value in values.items()}

    return Evaluation(
        format=1,
        scores=named(means),
        spread=named(spread),
        standard_errors=named(errors),
        intervals=named(intervals),
        classes=tuple(score_classes(classes, real, draws[0], extractor)) if classes else (),
        extractor_accuracy=extractor.accuracy,
        warnings=(
            *(measured.subjects.dataset.manifest.warnings() if measured.subjects.dataset else ()),
            *warnings(
                real.count,
                count,
                extractor.size,
                means,
                frechet_error=frechet_error,
                shared=shared_images(real, draws[0]),
                training_share=len(training.features) / training.count if training else 1.0,
                unknown_training="memorisation" in config.metrics and training is None,
                collapsed=generator is not None and generator.collapsed,
            ),
        ),
        protocol=Protocol(
            extractor=extractor.name,
            extractor_digest=extractor.digest,
            resize=extractor.resize,
            reference=measured.reference,
            reference_digest=measured.reference_digest,
            reference_count=real.count,
            samples=count,
            sampling_seeds=measured.generated.seeds,
            kid_subsets=config.kid_subsets,
            kid_subset_size=kid_subset_size,
        ),
        images_seen=generator.images_seen if generator else 0,
        dataset_digest=generator.dataset_digest if generator else "",
        tracking_run_id=generator.tracking_run_id if generator else None,
        generator_digest=measured.generated.generator.digest if measured.generated.generator else None,
    )


def _uncertainty(
    config: EvaluateConfig, means: dict[str, float], real: FeatureSet, generated: FeatureSet
) -> tuple[float, dict[str, float], dict[str, Interval]]:
    """The Fréchet distance's standard error, then standard errors and intervals over the images, by metric.

    The first is infinite if neither the Fréchet distance nor the training gap was computed. The others cover the
    distances that were computed.
    """
    frechet_error = math.inf
    errors, intervals = {}, {}
    if "fd" in means or "train_gap" in means:
        replicates = bootstrap_distances(real, generated, config.bootstrap_replicates, config.seed)
        frechet_error = float(np.std(replicates, ddof=1))
        if "fd" in means:
            errors["fd"] = frechet_error
            intervals["fd"] = distance_interval(means["fd"], replicates)
    if "kid" in means:
        errors["kid"] = kernel_standard_error(real.features, generated.features)
        intervals["kid"] = normal_interval(means["kid"], errors["kid"])
    return frechet_error, errors, {metric: Interval(low=low, high=high) for metric, (low, high) in intervals.items()}


def _standard_deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

"""Extracts the features of the real and the generated side of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_core.config import EvaluateConfig
from gan_core.digests import file_digest
from gan_core.evaluation.classes import Classes, find_classes
from gan_core.evaluation.condition_match import class_agreement, target_scores
from gan_core.evaluation.extractors.features import Counting, Extractor, FeatureSet, cached_features, silently
from gan_core.evaluation.images import GeneratedImages, ImagesWithFeatures
from gan_core.evaluation.parts import Draw, RunParts, Side, extract_sets
from gan_core.evaluation.real_and_generated import Sides, StoredImages
from gan_core.evaluation.statistics_file import read_statistics
from gan_core.export import load_generator
from gan_core.generator import Generator


@dataclass(frozen=True)
class GeneratedFeatures:
    """Features of generated images.

    Attributes:
        draws: the images with their features and labels, one set for each sampling seed.
        seeds: the sampling seeds; empty if images are given instead of a generator.
        generator: the generator that drew the images; None if images are given instead.
        condition_scores: for each draw, scores by metric that measure how well the images match the generator's
            condition; empty if images are given instead of a generator, or the generator is unconditional.
    """

    draws: list[ImagesWithFeatures]
    seeds: tuple[int, ...]
    generator: Generator | None
    condition_scores: list[dict[str, float]]

    @property
    def first(self) -> ImagesWithFeatures:
        """The images of the first draw."""
        return self.draws[0]


@dataclass(frozen=True)
class ExtractedFeatures:
    """Features of both sides of an evaluation.

    Attributes:
        sides: the real and the generated side.
        reference: name of the real images in the protocol.
        reference_digest: digest of their content.
        real: features of the real images, or only their statistics.
        training: features of the training images; None if these are unknown or are the real images.
        generated: features of the generated images.
    """

    sides: Sides
    reference: str
    reference_digest: str
    real: FeatureSet
    training: FeatureSet | None
    generated: GeneratedFeatures

    def classes(self, extractor: Extractor) -> Classes | None:
        """The class of each image; None if it cannot be determined."""
        if self.sides.real is None:
            return None
        real = ImagesWithFeatures(self.sides.real.images, self.real)
        return find_classes(self.sides.classes, extractor, real, self.generated.first)


def extract_features(
    config: EvaluateConfig,
    sides: Sides,
    extractor: Extractor,
    cache: str | Path,
    counting: Counting = silently,
    *,
    run_parts: RunParts | None = None,
) -> ExtractedFeatures:
    """Extracts the features of both sides, and caches those of images on disk.

    `run_parts` extracts them elsewhere; None for this process.

    Raises:
        InvalidInput: an image, the generator or the statistics cannot be read, or do not fit the extractor.

    >>> features = extract_features(evaluate_config, sides, extractor, Path("cache"))
    >>> features.real.count, features.generated.first.features.mean.shape
    (475, (128,))
    """

    def features_of(stored: StoredImages, side: Side) -> FeatureSet:
        def compute() -> FeatureSet:
            with counting(stored.images.count, side) as advance:
                sets = [(stored.images, side)]
                (found,) = extract_sets(config, sides, extractor, sets, advance, run_parts=run_parts)
                return found

        return cached_features(extractor, compute, {"digest": stored.digest, "name": stored.name}, Path(cache))

    if sides.real:
        reference, digest = sides.real.name, sides.real.digest
        real = features_of(sides.real, "real")
    else:
        reference, digest = "statistics", f"sha256-{file_digest(sides.real_path)}"
        real = read_statistics(sides.real_path, extractor)
    training = features_of(sides.training, "training") if sides.training else None
    if sides.generated:
        features = features_of(sides.generated, "generated")
        labels = sides.generated.labels if sides.generated.classes == sides.classes else None
        given = ImagesWithFeatures(sides.generated.images, features, labels)
        generated = GeneratedFeatures([given], (), None, [{}])
    else:
        generated = draw_and_extract(
            config,
            load_generator(sides.generated_path),
            extractor,
            counting,
            folder=sides.generated_path,
            description="generated",
            sides=sides,
            run_parts=run_parts,
        )
    return ExtractedFeatures(sides, reference, digest, real, training, generated)


def draw_and_extract(
    config: EvaluateConfig,
    generator: Generator,
    extractor: Extractor,
    counting: Counting,
    *,
    folder: Path,
    description: str,
    sides: Sides,
    run_parts: RunParts | None,
) -> GeneratedFeatures:
    """Draws the images of the generator in `folder` for every sampling seed and extracts their features.

    A paired generator makes images from the input images in `sides` and is scored against their targets. The labels of
    a conditional generator are ignored if its classes differ from those of the data.
    """
    seeds = tuple(range(config.seed, config.seed + config.sampling_seeds))
    has_classes = sides.classes == generator.metadata.classes
    images = [GeneratedImages(generator, config.samples, seed, sides.inputs, sides.codec) for seed in seeds]
    with counting(config.samples * len(seeds), description) as advance:
        sets = [(drawn, Draw(folder, seed)) for drawn, seed in zip(images, seeds, strict=True)]
        features = list(extract_sets(config, sides, extractor, sets, advance, run_parts=run_parts))
    draws = [
        ImagesWithFeatures(drawn, found, drawn.labels if has_classes else None)
        for drawn, found in zip(images, features, strict=True)
    ]
    if generator.metadata.paired and sides.real:
        targets = sides.real.images
        outputs = [GeneratedImages(generator, targets.count, seed, sides.inputs) for seed in seeds]
        with counting(targets.count * len(seeds), f"{description} pairs") as advance:
            condition_scores = [target_scores(drawn, targets, config.batch_size, advance) for drawn in outputs]
    else:
        condition_scores = [class_agreement(extractor, drawn.features, drawn.labels) for drawn in draws]
    return GeneratedFeatures(draws, seeds, generator, condition_scores)

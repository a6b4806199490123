"""Divides sets of images into parts, whose features workers extract by themselves, and merges what they found.

The parts depend only on the number of images and the batch size, so the scores do not depend on the workers.
"""

from __future__ import annotations

import functools
import itertools
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gan_core.config import EvaluateConfig
from gan_core.evaluation.cache import Arrays
from gan_core.evaluation.extractors.build import build_extractor
from gan_core.evaluation.extractors.features import Advance, Extractor, FeatureSet, extract, extract_range
from gan_core.evaluation.images import GeneratedImages, Images
from gan_core.evaluation.metrics.frechet import GaussianStatistics
from gan_core.evaluation.real_and_generated import Sides, StoredImages, open_sides
from gan_core.export import load_generator
from gan_core.generator import Generator

FEWEST_IMAGES = 1024
"""A part has at least this number of images, except the last one of a set."""
MOST_PARTS = 64
"""Maximum number of parts of a set. Each part needs D² numbers of 8 bytes on disk, with D numbers a feature."""


Side = Literal["real", "training", "generated"]


@dataclass(frozen=True)
class Draw:
    """The images that the generator in a folder draws for a sampling seed."""

    folder: Path
    seed: int


@dataclass(frozen=True)
class Part:
    """A range of a set of images, described by what a worker needs to open them.

    Attributes:
        job: a name that no other call of `extract_sets` has. Files may change between two calls, and workers may live
            longer, so a worker keeps what it opened for one job only.
        config: parameters of the evaluation.
        real_path, generated_path: the paths given as `--real` and `--generated`.
        images: the set: `real`, `training` or `generated` of `Sides`, or a draw.
        start, stop: the range.
    """

    job: str
    config: EvaluateConfig
    real_path: Path
    generated_path: Path
    images: Side | Draw
    start: int
    stop: int

    def divided(self) -> list[Part]:
        """Returns the parts of this set, in order. Each starts at the start of a batch."""
        batch = self.config.batch_size
        size = math.ceil(max(FEWEST_IMAGES, self.stop / MOST_PARTS) / batch) * batch
        return [
            replace(self, start=start, stop=min(start + size, self.stop))
            for start in range(self.start, self.stop, size)
        ]


RunParts = Callable[[Sequence[Part]], Iterable[Arrays]]
"""A function that calls `extract_part` for each part, anywhere, and returns the results in the order of the parts."""


def extract_part(cache: Path, part: Part) -> Arrays:
    """Returns the state of the features' statistics and, in `features`, the features that are kept.

    `cache` is the folder that `build_extractor` reads.

    Raises:
        InvalidInput: the images, the generator or the extractor cannot be opened, or do not fit each other.
    """
    sides, extractor = _opened(part.job, part.config, part.real_path, part.generated_path, cache)
    batches = _images(part, sides).batches(part.config.batch_size, part.start, part.stop)
    statistics, features = extract_range(extractor, batches, part.start)
    return {**statistics.arrays, "features": features}


def extract_sets(
    config: EvaluateConfig,
    sides: Sides,
    extractor: Extractor,
    sets: Sequence[tuple[Images, Side | Draw]],
    advance: Advance = lambda _: None,
    *,
    run_parts: RunParts | None,
) -> Iterator[FeatureSet]:
    """Yields the features of each set of images.

    Args:
        config: the parameters with which the extractor was built.
        sides: both sides of the evaluation.
        extractor: the extractor.
        sets: the images, and where workers find them.
        advance: called with the number of images that were just processed.
        run_parts: is called once, with the parts of all sets; None to work in this process. Only one part's result is
            in memory.

    Raises:
        InvalidInput: an image or its features cannot be computed, or a set has fewer than two images.
    """
    if run_parts is None:
        for images, _ in sets:
            yield extract(extractor, images.batches(config.batch_size), advance)
        return
    job = uuid.uuid4().hex
    divided = [
        Part(job, config, sides.real_path, sides.generated_path, place, 0, images.count).divided()
        for images, place in sets
    ]
    results = iter(run_parts(list(itertools.chain.from_iterable(divided))))
    for parts in divided:
        statistics, kept = GaussianStatistics(extractor.size), []
        for arrays in itertools.islice(results, len(parts)):
            part = GaussianStatistics.of(arrays)
            statistics.merge(part)
            kept.append(arrays["features"])
            advance(part.count)
        yield FeatureSet(statistics.count, statistics.mean, statistics.covariance, np.concatenate(kept))


def _images(part: Part, sides: Sides) -> Images:
    if isinstance(part.images, Draw):
        generator = _generator(part.job, part.images.folder)
        return GeneratedImages(generator, part.stop, part.images.seed, sides.inputs, sides.codec)
    stored: StoredImages = getattr(sides, part.images)
    return stored.images


@functools.lru_cache(maxsize=1)
def _opened(_job: str, config: EvaluateConfig, real: Path, generated: Path, cache: Path) -> tuple[Sides, Extractor]:
    sides = open_sides(real, generated, config)
    return sides, build_extractor(config, sides.dataset, cache)


@functools.lru_cache(maxsize=1)
def _generator(_job: str, folder: Path) -> Generator:
    return load_generator(folder)

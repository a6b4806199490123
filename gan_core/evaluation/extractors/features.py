"""Features of images: the interface of an extractor, and the features that are kept for a set of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.cache import cached
from gan_core.evaluation.metrics.frechet import GaussianStatistics

Advance = Callable[[int], None]
"""A function that is called with the number of images that were just processed."""
Counting = Callable[[int, str], AbstractContextManager[Advance]]
"""A function that shows the progress over a number of images, with a description."""

FEATURES_KEPT = 10_000
"""Number of features kept for scores that compare single images. Mean and covariance cover all images."""


@contextmanager
def silently(_total: int, _description: str) -> Iterator[Advance]:
    """Shows no progress."""
    yield lambda _: None


class Extractor(Protocol):
    """A network whose features are compared.

    Attributes:
        name: part of the scores' names.
        digest: `sha256-<hex>` of its weights or, for a network that this project trains, of everything that determines
            them.
        size: D, the length of a feature vector.
        resize: name of the method that brings images to the network's resolution, or clips to its rate and length.
        accuracy: share of held-out images that it classifies correctly; None if it was not measured.
    """

    @property
    def name(self) -> str: ...  # noqa: D102, the class says it
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def resize(self) -> str: ...  # noqa: D102
    @property
    def accuracy(self) -> float | None: ...  # noqa: D102

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns features [B, D] of images [B, H, W, C]; a row does not depend on the other images of the batch."""


@runtime_checkable
class ClassProbabilities(Protocol):
    """An extractor that also predicts class probabilities."""

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the probabilities [B, classes] of images with the features [B, D]."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of a set of images.

    Attributes:
        count: number of images in the whole set.
        mean: float64 [D], over the whole set.
        covariance: float64 [D, D], over the whole set, divided by count − 1.
        features: float32 [min(count, FEATURES_KEPT), D] of the first images; [0, D] if only statistics are known.
    """

    count: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    features: NDArray[np.float32]


def extract(
    extractor: Extractor, batches: Iterable[NDArray[np.uint8]], advance: Advance = lambda _: None
) -> FeatureSet:
    """Extracts the features of batches [B, H, W, C] uint8; memory does not grow with the number of images.

    Raises:
        InvalidInput: there are fewer than two images, or features are not finite.
    """
    statistics, kept = extract_range(extractor, batches, 0, advance)
    return FeatureSet(statistics.count, statistics.mean, statistics.covariance, kept)


def extract_range(
    extractor: Extractor, batches: Iterable[NDArray[np.uint8]], start: int, advance: Advance = lambda _: None
) -> tuple[GaussianStatistics, NDArray[np.float32]]:
    """Like `extract`, but for the images of a set from index `start`, in as many batches as are given.

    Returns:
        Their statistics, and their features that are kept, float32 [K, D].
    """
    statistics, kept, rows = GaussianStatistics(extractor.size), [np.empty((0, extractor.size), np.float32)], start
    for images in batches:
        features = extractor(images)
        statistics.update(features)
        if rows < FEATURES_KEPT:  # even an empty slice would keep the whole batch in memory
            kept.append(features[: FEATURES_KEPT - rows])
            rows += len(kept[-1])
        advance(len(images))
    return statistics, np.concatenate(kept)


def extract_cached(
    extractor: Extractor,
    batches: Iterable[NDArray[np.uint8]],
    content: Mapping[str, object],
    cache: Path,
    advance: Advance = lambda _: None,
) -> FeatureSet:
    """Like `extract`, but cached under `content`, which identifies the images' pixels."""
    return cached_features(extractor, lambda: extract(extractor, batches, advance), content, cache)


def cached_features(
    extractor: Extractor, compute: Callable[[], FeatureSet], content: Mapping[str, object], cache: Path
) -> FeatureSet:
    """Returns the features cached under `content`, which identifies the images' pixels, or computes and caches them."""

    def compute_arrays() -> dict[str, NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64]]:
        found = compute()
        return {
            "count": np.asarray(found.count),
            "mean": found.mean,
            "covariance": found.covariance,
            "features": found.features,
        }

    parts = {
        "what": "features",
        "content": dict(content),
        "extractor": extractor.digest,
        "resize": extractor.resize,
        "kept": FEATURES_KEPT,
    }
    arrays = cached(cache, parts, compute_arrays)
    return FeatureSet(int(arrays["count"]), arrays["mean"], arrays["covariance"], arrays["features"])

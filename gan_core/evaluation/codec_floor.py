"""The codec floor: what the codec alone costs, so that nobody takes its loss for the generator's.

The held-out items are divided into two halves. Each of four sets is compared with half B, untouched: half A through the
codec, half A untouched, as many training items, and as many generated items. All sets have the same number of items,
because distances fall as this number grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.config import EvaluateConfig
from gan_core.evaluation.confidence import bootstrap_distances, distance_interval, normal_interval
from gan_core.evaluation.extractors.features import Extractor, FeatureSet, extract
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance
from gan_core.evaluation.metrics.kernel import kernel_distance, kernel_standard_error
from gan_core.evaluation.protocol import FloorScores, Interval


def codec_floor(
    config: EvaluateConfig, codec: Codec, extractor: Extractor, extracted: ExtractedFeatures
) -> tuple[FloorScores, ...]:
    """Compares each set with half B of the real items; empty if there are no real items to divide."""
    sides, real = extracted.sides, extracted.real.features
    count = len(real) // 2
    if sides.real is None or count < 2:
        return ()
    first = np.arange(count) * 2  # alternate items, because a folder may be stored class by class
    reference = _features(real[first + 1])
    items = np.stack(list(sides.real.images.images(first)))
    sets = {
        "real, through the codec": extract(extractor, [codec.perceived(items, by=codec)]),
        "real, untouched": _features(real[first]),
    }
    if extracted.training and len(extracted.training.features) >= count:
        sets["training, untouched"] = _features(extracted.training.features[:count])
    if len(extracted.generated.first.features.features) >= count:
        sets["generated, decoded"] = _features(extracted.generated.first.features.features[:count])
    return tuple(_scores(config, name, found, reference) for name, found in sets.items())


def _features(rows: NDArray[np.float32]) -> FeatureSet:
    statistics = GaussianStatistics(rows.shape[1])
    statistics.update(rows)
    return FeatureSet(len(rows), statistics.mean, statistics.covariance, rows)


def _scores(config: EvaluateConfig, name: str, found: FeatureSet, reference: FeatureSet) -> FloorScores:
    distance = frechet_distance(reference.mean, reference.covariance, found.mean, found.covariance)
    replicates = bootstrap_distances(reference, found, config.bootstrap_replicates, config.seed)
    low, high = distance_interval(distance, replicates)
    size = min(config.kid_subset_size, found.count)
    kernel, _ = kernel_distance(reference.features, found.features, config.kid_subsets, size, config.seed)
    kernel_low, kernel_high = normal_interval(kernel, kernel_standard_error(reference.features, found.features))
    return FloorScores(
        name=name,
        count=found.count,
        fd=distance,
        fd_interval=Interval(low=low, high=high),
        kid=kernel,
        kid_interval=Interval(low=kernel_low, high=kernel_high),
    )

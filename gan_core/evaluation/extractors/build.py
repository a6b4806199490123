"""Builds the extractor that a configuration names."""

from __future__ import annotations

from pathlib import Path

from gan_core.config import EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.extractors.clips import require_clips
from gan_core.evaluation.extractors.features import Counting, Extractor, silently
from gan_core.evaluation.extractors.labels import require_labels
from gan_core.evaluation.extractors.untrained import untrained_extractor
from gan_core.evaluation.extractors.weights import DINOV2, INCEPTION, VGGISH, load_weights
from gan_core.evaluation.requirements import with_extractor


def build_extractor(
    config: EvaluateConfig, dataset: PreparedDataset | None, cache: str | Path, counting: Counting = silently
) -> Extractor:
    """Loads, draws or trains the extractor, or reads it from the cache.

    Args:
        config: names the extractor.
        dataset: the prepared data set, whose labels train `classifier`; None if only images are given.
        cache: folder for cached results and downloads.
        counting: shows the progress.

    Raises:
        InvalidInput: labels, sounds or weights that the extractor needs are missing, or the sounds are too long for it.
        TryAgain: the weights could not be downloaded.

    >>> extractor = build_extractor(evaluate_config, dataset, Path("cache"))
    >>> extractor.name, extractor.size
    ('random', 128)
    """
    config, cache = with_extractor(config, dataset), Path(cache)
    if config.extractor == "inception":
        from gan_core.evaluation.extractors.inception import InceptionExtractor

        return InceptionExtractor(load_weights(INCEPTION, config.inception_weights, cache), config.resize)
    if config.extractor == "dinov2":
        from gan_core.evaluation.extractors.dinov2 import Dinov2Extractor

        return Dinov2Extractor(load_weights(DINOV2, config.dinov2_weights, cache))
    if config.extractor == "vggish":
        from gan_core.evaluation.extractors.vggish import VggishExtractor

        codec = require_clips(dataset)
        return VggishExtractor(load_weights(VGGISH, config.vggish_weights, cache), codec)
    if config.extractor != "classifier":
        return untrained_extractor(config.extractor)
    dataset = require_labels(dataset)
    from gan_core.evaluation.extractors.classifier import IMAGES_SHOWN, train_classifier

    with counting(IMAGES_SHOWN, "classifier") as advance:
        return train_classifier(dataset, cache, advance)

"""The extractor that a configuration asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gan_core.config import EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.features import Advance, Counting, Extractor


@contextlib.contextmanager
def silently(_total: int, _description: str) -> Iterator[Advance]:
    """Shows no progress."""
    yield lambda _: None


def build_extractor(
    config: EvaluateConfig, dataset: PreparedDataset | None, cache: Path, counting: Counting = silently
) -> Extractor:
    """Reads, draws or trains the extractor, or takes it from the cache.

    Args:
        config: names it.
        dataset: the prepared data set, on whose labels `classifier` is trained; None if there are but images.
        cache: folder for what need not be computed or downloaded twice.
        counting: shows the progress.

    Raises:
        InvalidInput: the extractor needs what is not there: labels, or weights.
        TryAgain: the weights could not be downloaded.
    """
    if config.extractor == "inception":
        from gan_core.evaluation.inception import InceptionExtractor
        from gan_core.evaluation.weights import load_weights

        return InceptionExtractor(load_weights(config.inception_weights, cache), config.resize)
    if config.extractor == "random":
        from gan_core.evaluation.random_network import RandomExtractor

        return RandomExtractor()
    if dataset is None or len(dataset.manifest.classes) < 2:
        known = f"{len(dataset.manifest.classes)} classes in {dataset.folder}" if dataset else "images alone"
        raise InvalidInput(
            "The extractor 'classifier' learns from labels, so it needs a prepared data set with at least two classes: "
            "prepare images in class subfolders, or set evaluate.extractor to 'random', an untrained network whose "
            "scores are called fd_random, or to 'inception' and provide its weights. "
            f"Received: evaluate.extractor='classifier', {known}"
        )
    from gan_core.evaluation.classifier import IMAGES_SHOWN, train_classifier

    with counting(IMAGES_SHOWN, "classifier") as advance:
        return train_classifier(dataset, cache, advance)

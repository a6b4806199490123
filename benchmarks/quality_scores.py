"""Scores of saved samples: their Fréchet distances to the test images by several extractors, and their diversity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.features import Extractor
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance
from gan_core.training.diversity import mean_pairwise_distance

_BATCH_SIZE = 250
_COMPARED_PAIRWISE = 1000


class Judge:
    """Compares images with the same real images.

    Args:
        extractors: the feature extractors.
        real: uint8 [N, H, W, C].
    """

    def __init__(self, extractors: Sequence[Extractor], real: NDArray[np.uint8]) -> None:
        self._extractors = extractors
        self._real = [_statistics(extractor, real) for extractor in extractors]
        self._diversity = _diversity(real)

    def scores(self, images: NDArray[np.uint8]) -> dict[str, float]:
        """Returns the distance under each extractor's name, and `diversity` as a share of the real images'."""
        found = {"diversity": _diversity(images) / self._diversity}
        for extractor, real in zip(self._extractors, self._real, strict=True):
            drawn = _statistics(extractor, images)
            found[extractor.name] = frechet_distance(real.mean, real.covariance, drawn.mean, drawn.covariance)
        return found

    def score_training(self, folder: Path) -> dict[str, Any]:
        """Returns `training.json` of `folder` with scores in each row; caches the scores in `scores.json`."""
        training: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        path = folder / "scores.json"
        protocol = {extractor.name: extractor.digest for extractor in self._extractors}
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if kept.get("protocol") != protocol:
            rows = [self.scores(np.load(folder / f"{row['moment']:g}.npy")) for row in training["rows"]]
            kept = {"protocol": protocol, "rows": rows}
            path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        training["rows"] = [row | scores for row, scores in zip(training["rows"], kept["rows"], strict=True)]
        return training


def _statistics(extractor: Extractor, images: NDArray[np.uint8]) -> GaussianStatistics:
    statistics = GaussianStatistics(extractor.size)
    for start in range(0, len(images), _BATCH_SIZE):
        statistics.update(extractor(images[start : start + _BATCH_SIZE]))
    return statistics


def _diversity(images: NDArray[np.uint8]) -> float:
    return mean_pairwise_distance(images[:_COMPARED_PAIRWISE] / np.float32(127.5))


def seconds_to_reach(rows: Sequence[dict[str, float]], extractor: str, target: float) -> float | None:
    """Returns the seconds of training until the distance was first at most `target`; None if it never was.

    The logarithm of the distance is interpolated linearly in the logarithm of time.
    If the distance is already at most `target` at the first moment, that moment is returned, an upper bound.
    """
    before: tuple[float, float] | None = None
    for row in rows:
        seconds, score = row["seconds"], row[extractor]
        if score <= target:
            if before is None or score <= 0:
                return seconds
            (earlier, worse) = before
            share = np.log(worse / target) / np.log(worse / score)
            return float(earlier * (seconds / earlier) ** share)
        before = seconds, score
    return None

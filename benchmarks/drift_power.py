"""The share of pairs of data sets in which drift is detected, without a change and with one data set changed.

python -m benchmarks.drift_power --dataset data/prepared
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.config import DriftConfig, EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.drift_detection import block_distance

Images = NDArray[np.uint8]
CHANGES: dict[str, Callable[[Images], Images]] = {
    "none": lambda images: images,
    "a tenth darker": lambda images: (images * 0.9).astype(np.uint8),
    "a fifth darker": lambda images: (images * 0.8).astype(np.uint8),
    "moved by a pixel": lambda images: np.roll(images, 1, axis=2),
}


def main() -> None:
    """Prints the share of pairs in which the distance detects drift, for each change and number of images."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", default="params.yaml")
    options.add_argument("--dataset", type=Path, default=Path("data/prepared"))
    options.add_argument("--cache", type=Path, default=Path("build/cache"))
    options.add_argument("--pairs", type=int, default=200)
    arguments = options.parse_args()
    config = read_section(arguments.config, DriftConfig)
    evaluation = read_section(arguments.config, EvaluateConfig)
    dataset = PreparedDataset(arguments.dataset)
    configure_tensorflow()

    from gan_core.evaluation.extractors.build import build_extractor

    extractor = build_extractor(evaluation, dataset, arguments.cache)
    images = np.concatenate(list(dataset.split("held_out").batches(evaluation.batch_size)))
    features = {name: _features(extractor, change(images)) for name, change in CHANGES.items()}
    for name, changed in features.items():
        for count in (150, 600, len(images) // 2):
            seen = [_is_seen(features["none"], changed, count, config, seed) for seed in range(arguments.pairs)]
            print(f"{name:<18} {count:>5} images a side: {np.mean(seen):6.1%} of {arguments.pairs} pairs called drift")


def _features(extractor: Callable[[Images], NDArray[np.float32]], images: Images) -> NDArray[np.float32]:
    return np.concatenate([extractor(images[start : start + 256]) for start in range(0, len(images), 256)])


def _is_seen(
    same: NDArray[np.float32], changed: NDArray[np.float32], count: int, config: DriftConfig, seed: int
) -> bool:
    order = np.random.default_rng(seed).permutation(len(same))
    distance = block_distance(same[order[:count]], changed[order[count : 2 * count]], config, seed)
    return distance.low > config.kid_threshold


if __name__ == "__main__":
    main()

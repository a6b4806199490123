"""The evaluator's speed beside the usual implementations', on this machine: `python benchmarks/evaluation.py --help`.

The Fréchet distance beside scipy's sqrtm, and the Inception network beside torch-fidelity's with the same weights and
images (for which `make test-peers` must have created the peers' environment). The two sides take turns, so that both
see the same machine; the best round of each counts.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default where there is no AVX-512
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.linalg

from gan_core.evaluation.frechet import GaussianStatistics, frechet_distance
from gan_core.evaluation.inception import InceptionExtractor
from gan_core.evaluation.weights import load_weights

PEERS_PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


def distances(size: int, count: int, rounds: int) -> None:
    """Fréchet distance of two sets of `count` correlated features of `size` numbers."""
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((size, size)) * np.exp(-4 * np.arange(size) / size) / np.sqrt(size)
    sides = []
    for _ in range(2):
        statistics = GaussianStatistics(size)
        features_of_side = np.maximum(generator.standard_normal((count, size)) @ mixing.T, 0)
        start = time.perf_counter()
        statistics.update(features_of_side)
        print(f"statistics of {count} x {size}: {time.perf_counter() - start:.2f} s")
        sides += [statistics.mean, statistics.covariance]
    mean_a, covariance_a, mean_b, covariance_b = sides
    seconds: dict[str, list[float]] = {"ours": [], "sqrtm": []}
    for _ in range(rounds):
        start = time.perf_counter()
        ours = frechet_distance(*sides)
        seconds["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        overlap = np.trace(scipy.linalg.sqrtm(covariance_a @ covariance_b)).real
        seconds["sqrtm"].append(time.perf_counter() - start)
    theirs = np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    ratio = min(seconds["sqrtm"]) / min(seconds["ours"])
    print(
        f"distance, D = {size}, N = {count}: ours {min(seconds['ours']):.2f} s, sqrtm {min(seconds['sqrtm']):.2f} s, "
        f"{ratio:.1f} times faster (target 5); they differ by {abs(ours / theirs - 1):.1e}"
    )


def features(count: int, rounds: int) -> None:
    """Features a second of `count` random 32 x 32 images."""
    if not PEERS_PYTHON.exists():
        print("features: skipped, the peers' environment is missing (make test-peers)")
        return
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    seconds: dict[str, list[float]] = {"ours": [], "torch-fidelity": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        peer = [PEERS_PYTHON, Path(__file__).with_name("torch_fidelity_features.py"), folder]
        extractor = None
        for _ in range(rounds):
            printed = subprocess.run(peer, check=True, capture_output=True, text=True).stdout  # noqa: S603
            seconds["torch-fidelity"].append(float(printed.split()[-1]))
            if extractor is None:
                sha256 = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
                extractor = InceptionExtractor(
                    load_weights(f"{folder / 'weights.pth'}#sha256={sha256}"), "legacy_tensorflow"
                )
                extractor(images[:64])
            start = time.perf_counter()
            ours = extractor(images)
            seconds["ours"].append(time.perf_counter() - start)
        theirs = np.load(folder / "features.npy")
    rate = {side: count / min(times) for side, times in seconds.items()}
    print(
        f"features of {count} images: ours {rate['ours']:.1f} images/s, torch-fidelity {rate['torch-fidelity']:.1f}, "
        f"{rate['ours'] / rate['torch-fidelity']:.2f} times as many (target 1); "
        f"they differ by {np.abs(ours - theirs).max() / theirs.max():.1e} of the largest feature"
    )


def main() -> None:
    """Reads the command line and runs both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="numbers in a feature (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=10_000, help="features of a side (default: %(default)s)")
    parser.add_argument("--images", type=int, default=512, help="images through the network (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    arguments = parser.parse_args()
    distances(arguments.size, arguments.samples, arguments.rounds)
    features(arguments.images, arguments.rounds)


if __name__ == "__main__":
    main()

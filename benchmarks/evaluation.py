"""Compares the evaluator's speed with the usual implementations: `python benchmarks/evaluation.py --help`.

The Fréchet distance is compared with scipy's sqrtm, and the Inception network with torch-fidelity's on the same weights
and images. `make test-peers` creates the environment of torch-fidelity. The two sides take turns, so that both run
under the same load, and the best round of each counts. Processor seconds are also printed, because other programs
hardly affect them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.linalg

from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.evaluation.extractors.inception import InceptionExtractor
from gan_core.evaluation.extractors.weights import INCEPTION, load_weights
from gan_core.evaluation.metrics.frechet import GaussianStatistics, frechet_distance

Turn = tuple[float, float]
PEERS_PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


@contextlib.contextmanager
def timed(turns: list[Turn]) -> Iterator[None]:
    """Appends the body's elapsed seconds and processor seconds to `turns`."""
    start, busy = time.perf_counter(), time.process_time()
    yield
    turns.append((time.perf_counter() - start, time.process_time() - busy))


def best(turns: list[Turn]) -> Turn:
    """Returns the lowest elapsed and processor seconds over the rounds."""
    walls, busy = zip(*turns, strict=True)
    return min(walls), min(busy)


def distances(size: int, count: int, rounds: int) -> None:
    """Times the Fréchet distance of two sets of `count` correlated features of `size` numbers."""
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
    turns: dict[str, list[Turn]] = {"ours": [], "sqrtm": []}
    for _ in range(rounds):
        with timed(turns["ours"]):
            ours = frechet_distance(*sides)
        with timed(turns["sqrtm"]):
            overlap = np.trace(scipy.linalg.sqrtm(covariance_a @ covariance_b)).real
    theirs = np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    (ours_wall, ours_busy), (sqrtm_wall, sqrtm_busy) = (best(turns[side]) for side in ("ours", "sqrtm"))
    print(
        f"distance, D = {size}, N = {count}: ours {ours_wall:.2f} s, sqrtm {sqrtm_wall:.2f} s, "
        f"{sqrtm_wall / ours_wall:.1f} times faster (target 5); of the processors {ours_busy:.2f} s and "
        f"{sqrtm_busy:.2f} s; they differ by {abs(ours / theirs - 1):.1e}"
    )


def features(count: int, rounds: int) -> None:
    """Measures features per second on `count` random 32 x 32 images."""
    if not PEERS_PYTHON.exists():
        print("features: skipped, the peers' environment is missing (make test-peers)")
        return
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    turns: dict[str, list[Turn]] = {"ours": [], "torch-fidelity": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        peer = [PEERS_PYTHON, Path(__file__).with_name("torch_fidelity_features.py"), folder]
        extractor = None
        for _ in range(rounds):
            printed = subprocess.run(peer, check=True, capture_output=True, text=True).stdout  # noqa: S603
            turns["torch-fidelity"].append(tuple(map(float, printed.split()[-2:])))
            if extractor is None:
                sha256 = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
                extractor = InceptionExtractor(
                    load_weights(INCEPTION, f"{folder / 'weights.pth'}#sha256={sha256}", folder), "legacy_tensorflow"
                )
                extractor(images[:64])
            with timed(turns["ours"]):
                ours = np.concatenate([extractor(images[start : start + 256]) for start in range(0, count, 256)])
        theirs = np.load(folder / "features.npy")
    (ours_wall, ours_busy), (their_wall, their_busy) = (best(turns[side]) for side in ("ours", "torch-fidelity"))
    print(
        f"features of {count} images: ours {count / ours_wall:.1f} images/s, torch-fidelity {count / their_wall:.1f}, "
        f"{their_wall / ours_wall:.2f} times as many (target 1); of the processors {1000 * ours_busy / count:.0f} and "
        f"{1000 * their_busy / count:.0f} ms an image, {their_busy / ours_busy:.2f} times as much; "
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
    configure_tensorflow()  # as components.evaluate does
    distances(arguments.size, arguments.samples, arguments.rounds)
    features(arguments.images, arguments.rounds)


if __name__ == "__main__":
    main()

"""Compares the evaluator's speed with the usual implementations: `python benchmarks/evaluation.py --help`.

The Fréchet distance is compared with scipy's sqrtm, the Inception network with torch-fidelity's, and DINOv2 with
timm's, on the same random weights and images. `make test-peers` creates the environment of torch-fidelity and timm. The
two sides take turns, so that both run under the same load, and the best round of each counts. Processor seconds are
also printed, because other programs hardly affect them.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.digests import file_digest
from gan_core.evaluation.extractors.dinov2 import Dinov2Extractor
from gan_core.evaluation.extractors.dinov2_network import LARGE
from gan_core.evaluation.extractors.inception import InceptionExtractor
from gan_core.evaluation.extractors.weights import DINOV2, INCEPTION, load_weights
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


def features(
    peer: str,
    script: list[str],
    images: NDArray[np.uint8],
    rounds: int,
    load: Callable[[str, Path], Callable[[NDArray[np.uint8]], NDArray[np.float32]]],
) -> None:
    """Measures features per second and compares them with a peer's.

    Args:
        peer: name of the peer.
        script: its program in this folder, and what follows the folder of the files on its command line.
        images: [N, H, W, 3].
        rounds: turns of each side.
        load: builds our extractor from the value of a parameter of weights, and the folder.
    """
    if not PEERS_PYTHON.exists():
        print(f"features, compared with {peer}: skipped, the peers' environment is missing (make test-peers)")
        return
    count = len(images)
    turns: dict[str, list[Turn]] = {"ours": [], peer: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "images.npz", images=images)
        program = [PEERS_PYTHON, Path(__file__).with_name(script[0]), folder, *script[1:]]
        extractor = None
        for _ in range(rounds):
            printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout  # noqa: S603
            turns[peer].append(tuple(map(float, printed.split()[-2:])))
            if extractor is None:
                sha256 = file_digest(folder / "weights.pth")
                extractor = load(f"{folder / 'weights.pth'}#sha256={sha256}", folder)
                extractor(images[:64])
            with timed(turns["ours"]):
                ours = np.concatenate([extractor(images[start : start + 256]) for start in range(0, count, 256)])
        theirs = np.load(folder / "features.npz")["images"]
    (ours_wall, ours_busy), (their_wall, their_busy) = (best(turns[side]) for side in ("ours", peer))
    print(
        f"features of {count} images: ours {count / ours_wall:.1f} images/s, {peer} {count / their_wall:.1f}, "
        f"{their_wall / ours_wall:.2f} times as many (target 1); of the processors {1000 * ours_busy / count:.0f} and "
        f"{1000 * their_busy / count:.0f} ms an image, {their_busy / ours_busy:.2f} times as much; "
        f"they differ by {np.abs(ours - theirs).max() / np.abs(theirs).max():.1e} of the largest feature"
    )


def main() -> None:
    """Reads the command line and runs the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="numbers in a feature (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=10_000, help="features of a side (default: %(default)s)")
    parser.add_argument("--images", type=int, default=512, help="images through Inception (default: %(default)s)")
    parser.add_argument("--large", type=int, default=64, help="images through DINOv2 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    arguments = parser.parse_args()
    configure_tensorflow()  # as components.evaluate does
    distances(arguments.size, arguments.samples, arguments.rounds)
    images = np.random.default_rng(0).integers(0, 256, (arguments.images, 32, 32, 3), dtype=np.uint8)
    features(
        "torch-fidelity",
        ["torch_fidelity_features.py"],
        images,
        arguments.rounds,
        lambda place, cache: InceptionExtractor(load_weights(INCEPTION, place, cache), "legacy_tensorflow"),
    )
    features(
        "timm",
        ["timm_features.py", *map(str, astuple(LARGE))],
        images[: arguments.large],
        arguments.rounds,
        lambda place, cache: Dinov2Extractor(load_weights(DINOV2, place, cache)),
    )


if __name__ == "__main__":
    main()

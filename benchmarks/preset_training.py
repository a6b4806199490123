"""One training of preset_ablation.py, judged, in a separate process: `python -m benchmarks.preset_training`.

Reads a `Specification` in JSON from standard input, and prints the result in JSON as the last line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import machine
from components.cli.tensorflow_settings import configure_tensorflow
from components.training.build import build_gan, training_images
from gan_core.codecs import codec_of
from gan_core.config import EvaluateConfig, TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.training.hooks import NoHooks

if TYPE_CHECKING:
    from gan_core.evaluation.extractors.features import Extractor

_BATCH_SIZE = 256


class Specification(BaseModel):
    """What determines a result, except the machine and the code.

    Attributes:
        case: its name.
        train: the train section; None for real items in place of generated ones.
        evaluate: the evaluate section, which names one of the two judges and the number of items.
        dataset: folder of the prepared data.
        dataset_digest: its digest.
        seed: seed of the training, or of the choice of real items.
        seconds: processor time of the training after its first step, with scores, grids and checkpoints.
        at_once: number of trainings that share the machine, including this one.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    train: dict[str, Any] | None
    evaluate: dict[str, Any]
    dataset: Path
    dataset_digest: str
    seed: int
    seconds: float
    at_once: int


class Result(BaseModel):
    """A judged training.

    Attributes:
        specification: what was trained.
        machine: hardware and versions.
        distances: Fréchet distance to the held-out items by judge, the preset's own first; empty after a failure.
        accuracies: share of the held-out items that each judge classifies correctly; None if it does not classify.
        failure: why there is no generator; empty if there is one.
        seconds: processor time that was spent, as in the specification.
        wall_seconds: wall time in which it was spent; more if other programs ran.
        images_seen: items seen at the end, of which the kept generator has seen `images_seen_by_best`.
        scores: number of scores within this time.
        score_seconds: processor time that they took.
    """

    specification: Specification
    machine: str
    distances: dict[str, float] = {}
    accuracies: dict[str, float | None] = {}
    failure: str = ""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    images_seen: int = 0
    images_seen_by_best: int = 0
    scores: int = 0
    score_seconds: float = 0.0


def run(specification: Specification) -> Result:
    """Trains and judges in a new process on the processors of the calling thread, and waits for it.

    Raises:
        CalledProcessError: the process failed.
    """
    command = [sys.executable, "-m", "benchmarks.preset_training"]
    written = specification.model_dump_json().encode()
    finished = subprocess.run(command, input=written, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return Result.model_validate_json(finished.stdout.splitlines()[-1])


class _Clock(NoHooks):
    """Ends the training after `seconds` of processor time from the end of the first step, or when the parent has ended.

    Processor time, because other programs on the machine change it little.
    """

    def __init__(self, seconds: float) -> None:
        self.spent = self.wall_seconds = 0.0
        self._seconds, self._since, self._wall_since, self._parent = seconds, 0.0, 0.0, os.getppid()

    def on_step(self, images_seen: int) -> None:
        del images_seen
        if not self._since:
            self._since, self._wall_since = time.process_time(), time.monotonic()
        self.spent = time.process_time() - self._since
        self.wall_seconds = time.monotonic() - self._wall_since

    def stop_requested(self) -> bool:
        return bool(self._since) and (
            time.process_time() - self._since >= self._seconds or os.getppid() != self._parent
        )


class _TimedScorer:
    """A scorer that counts its calls and their seconds."""

    def __init__(self, score: Callable[[], Mapping[str, float]]) -> None:
        self.count, self.seconds = 0, 0.0
        self._score = score

    def __call__(self) -> Mapping[str, float]:
        before = time.process_time()
        scores = self._score()
        self.count, self.seconds = self.count + 1, self.seconds + time.process_time() - before
        return scores


def main() -> None:
    """Trains and judges."""
    specification = Specification.model_validate_json(sys.stdin.read())
    configure_tensorflow()
    result = judged(specification)
    print(result.model_dump_json())


def judged(specification: Specification) -> Result:
    """Trains, or chooses real items, and compares the items with the held-out ones by both judges."""
    from benchmarks.extractors import dense_extractor
    from gan_core.evaluation.extractors.build import build_extractor
    from gan_core.evaluation.extractors.features import extract, extract_cached
    from gan_core.evaluation.metrics.frechet import frechet_distance

    dataset, evaluate = PreparedDataset(specification.dataset), EvaluateConfig.parse(specification.evaluate)
    cache = specification.dataset.parent / "cache"
    judges: list[Extractor] = [build_extractor(evaluate, dataset, cache), dense_extractor(dataset, cache)]
    result = Result(
        specification=specification, machine=machine(), accuracies={judge.name: judge.accuracy for judge in judges}
    )
    items = _real(specification, dataset, evaluate) if specification.train is None else _trained(result, dataset)
    held_out = dataset.split("held_out")
    for judge in judges if items else ():
        content = {"digest": dataset.manifest.digest, "name": "held_out"}
        real = extract_cached(judge, held_out.batches(_BATCH_SIZE), content, cache)
        drawn = extract(judge, items)
        distance = frechet_distance(real.mean, real.covariance, drawn.mean, drawn.covariance)
        result.distances[judge.name] = distance
    return result


def _real(specification: Specification, dataset: PreparedDataset, evaluate: EvaluateConfig) -> list[NDArray[np.uint8]]:
    """Returns training items through the codec: what a perfect generator would give."""
    train, codec = dataset.split("train"), codec_of(dataset.manifest)
    chosen = np.random.default_rng(specification.seed).permutation(train.count)[: evaluate.samples]
    return [codec.perceived(train.images(chosen), by=codec)]


def _trained(result: Result, dataset: PreparedDataset) -> list[NDArray[np.uint8]]:
    """Trains as `components.train` does, and returns samples of the best generator in batches; fills in `result`."""
    from gan_core.evaluation.images import GeneratedImages
    from gan_core.evaluation.quick_scores import scorer
    from gan_core.generator import Generator
    from gan_core.training.batches import RealBatches
    from gan_core.training.checkpoints import Checkpoints
    from gan_core.training.describe import describe_generator
    from gan_core.training.guards import Diverged
    from gan_core.training.loop import Training

    config, evaluate = (
        TrainConfig.parse(result.specification.train),
        EvaluateConfig.parse(result.specification.evaluate),
    )
    images = training_images(config, dataset)
    config = config.resolved(labelled=images.labelled)
    gan, xla, _ = build_gan(config, dataset)
    generator = Generator(gan.averaged_generator, describe_generator(gan, dataset))
    cache = result.specification.dataset.parent / "cache"
    score = scorer(generator, dataset, config.score_samples, cache)
    timed, clock = _TimedScorer(score), _Clock(result.specification.seconds)
    with tempfile.TemporaryDirectory() as workplace, Checkpoints(Path(workplace), config.checkpoints_kept) as kept:
        training = Training(
            gan, RealBatches(images, config), kept, timed if config.score_every_images else None, xla=xla
        )
        try:
            training.run(clock)
        except Diverged as error:
            result.failure = str(error)
    result.seconds, result.wall_seconds = clock.spent, clock.wall_seconds
    result.images_seen = gan.images_seen
    result.scores, result.score_seconds = timed.count, timed.seconds
    if result.failure:
        return []
    if config.score_every_images:
        training.best.record(gan, score())  # a training ends with a score
    result.images_seen_by_best = training.best.load_into(gan)
    return list(GeneratedImages(generator, evaluate.samples, evaluate.seed).batches(_BATCH_SIZE))


if __name__ == "__main__":
    main()

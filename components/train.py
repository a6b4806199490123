"""Trains a generator on a prepared data set; run again after a stop or a kill, it goes on where it was.

Beside the command's exit codes: 1 also when the training diverged, 75 also after SIGTERM (as a machine that is taken
away sends it), 130 after Ctrl-C. A checkpoint is written before either ends the process.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import platform
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from components import executor
from components.command import configure_tensorflow, read_section, require_writable, run, whole_output
from gan_core.errors import InvalidInput, TryAgain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.progress import Progress
    from components.tracking import TrainingTracker
    from gan_core.config import Switch, TrainConfig
    from gan_core.data.prepared import ImageSplit, PreparedDataset
    from gan_core.distribution import Distribution
    from gan_core.export import GeneratorMetadata
    from gan_core.gan import Gan
    from gan_core.training import Row, Training

# A training that only goes on for longer, or saves at other times, goes the same way.
_NOT_IN_THE_KEY = {"steps", "checkpoint_every_seconds", "checkpoints_kept", "distribution"}
_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and trains."""
    arguments = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    from gan_core.config import TrainConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.networks.shapes import check_shape

    config = read_section(arguments.config, "train", TrainConfig)
    dataset = PreparedDataset(arguments.dataset)
    check_shape(dataset.manifest.shape)
    require_writable(arguments.checkpoints, arguments.model, arguments.history, arguments.samples)
    images = dataset.split("train")
    _check_data(config, images, arguments.dataset)
    configure_tensorflow()

    from components.progress import progress
    from components.tracking import TrainingTracker
    from gan_core.batches import Feed
    from gan_core.checkpoints import Checkpoints
    from gan_core.distribution import Distribution
    from gan_core.gan import Gan
    from gan_core.guards import Diverged
    from gan_core.training import Training

    distribution = Distribution(config.distribution)
    xla, mixed_precision = _xla(config, distribution), _switch("mixed_precision", config.mixed_precision)
    classes = len(dataset.manifest.classes) if config.conditional else 0
    gan = Gan(
        config,
        dataset.manifest.shape,
        classes,
        distribution=distribution,
        xla=xla,
        mixed_precision=mixed_precision,
    )
    scorer = _scorer(config, gan, dataset) if config.score_every_images else None
    if not distribution.chief:
        training = Training(gan, Feed(images, config), None, scorer)
        training.resume()
        training.run(_NoHooks())
        return
    key = _key(config, dataset.manifest.digest, xla, mixed_precision)
    # An MLflow run has one set of parameters: a training that goes on with more steps is another run.
    tracking = arguments.checkpoints / key / f"tracking-{_digest(config.model_dump())}"
    stop = _Stop()
    try:
        with Checkpoints(arguments.checkpoints / key, config.checkpoints_kept) as checkpoints:
            training = Training(gan, Feed(images, config), checkpoints, scorer)
            training.resume()
            _logger.info("Training from %d to %d images, checkpoint key %s", gan.images_seen, training.target, key)
            parameters = config.model_dump()
            with (
                progress(training.target, "images", "train", gan.images_seen) as bar,
                TrainingTracker(
                    tracking, parameters=parameters, tags={"checkpoint_key": key}, dataset=dataset.manifest
                ) as tracker,
            ):
                if not training.run(Hooks(training, bar, tracker, lambda: stop.received is not None)):
                    raise KeyboardInterrupt
                _write_outputs(arguments, training, dataset, tracker)
    except KeyboardInterrupt:
        if stop.received != signal.SIGTERM:
            raise
        raise TryAgain(
            f"The training was told to stop (SIGTERM) after {gan.images_seen} images. A checkpoint is "
            "written; the same command goes on from there."
        ) from None
    except Diverged as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    executor.write_output(arguments.executor_input)


def _check_data(config: TrainConfig, images: ImageSplit, place: Path) -> None:
    """Refuses data that the parameters do not go with."""
    if images.count == 0:
        raise InvalidInput(f"The train split must hold an image. Received: {place}")
    for name in ("conditional", "balanced_classes"):
        if getattr(config, name) and not images.labelled:
            raise InvalidInput(f"The parameter 'train.{name}' needs images with labels. Received: {name}=True, {place}")
    if images.paired != (config.network == "unet"):
        raise InvalidInput(
            "The network unet goes with pairs of images (prepare.pairs) and the others with single ones. Received: "
            f"network={config.network!r}, {'pairs' if images.paired else 'single images'} in {place}"
        )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.train", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its train section as a JSON object")
    options.add_argument("--dataset", required=True, type=Path, help="folder written by components.prepare")
    options.add_argument("--checkpoints", required=True, type=Path, help="folder for checkpoints of every training")
    options.add_argument("--model", required=True, type=Path, help="output: folder of the generator")
    options.add_argument("--history", required=True, type=Path, help="output: figures by images seen, .csv")
    options.add_argument("--samples", required=True, type=Path, help="output: grid of samples, .png")
    executor.add_option(options)
    return options


class _Stop:
    """Remembers the first SIGTERM or SIGINT, so that a step and a checkpoint get finished; a second ends at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Hooks:
    """Shows and tracks what happens around the steps."""

    def __init__(
        self, training: Training, bar: Progress, tracker: TrainingTracker, stop_requested: Callable[[], bool]
    ) -> None:
        self.stop_requested = stop_requested
        self._bar = bar
        self._columns = training.columns
        self._tracker = tracker
        self._images_seen = training.gan.images_seen
        self._losses: dict[str, float] = {}
        for row in training.history:
            self.on_row(row)

    def on_step(self, images_seen: int) -> None:
        """Moves the bar."""
        self._bar.advance(images_seen - self._images_seen, **self._losses)
        self._images_seen = images_seen
        self._losses = {}

    def on_row(self, row: Row) -> None:
        """Tracks a row."""
        self._losses = {name: row[name] for name in ("generator_loss", "discriminator_loss", "diversity")}
        figures = {name: value for name, value in row.items() if name != "images_seen"}
        self._tracker.log_row(int(row["images_seen"]), figures)

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Tracks a grid."""
        from gan_core.data.grid import image_grid

        self._tracker.log_image(images_seen, "samples", image_grid(images, self._columns))


class _NoHooks:
    """For a host that computes and writes nothing."""

    def on_step(self, images_seen: int) -> None:
        """Nothing."""

    def on_row(self, row: Row) -> None:
        """Nothing."""

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Nothing."""

    def stop_requested(self) -> bool:
        """Never: the chief's end ends them all."""
        return False


def _write_outputs(
    arguments: argparse.Namespace, training: Training, dataset: PreparedDataset, tracker: TrainingTracker
) -> None:
    from gan_core.data.grid import image_grid, write_png
    from gan_core.export import save_generator

    images_seen = training.take_best()
    grid = image_grid(training.samples(), training.columns)
    tracker.log_image(images_seen, "samples", grid)
    metadata = _metadata(training.gan, dataset).model_copy(
        update={
            "images_seen": images_seen,
            "collapsed": bool(training.history[-1]["collapsed"]),
            "tracking_run_id": tracker.run_id,
        }
    )
    with (
        whole_output(arguments.model) as model,
        whole_output(arguments.history) as history,
        whole_output(arguments.samples) as samples,
    ):
        save_generator(model, training.gan.averaged_generator, metadata)
        columns = dict.fromkeys(name for row in training.history for name in row)
        with history.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(training.history)
        write_png(samples, grid)


def _metadata(gan: Gan, dataset: PreparedDataset) -> GeneratorMetadata:
    """What the averaged generator is now."""
    from gan_core.export import GeneratorMetadata

    classes = dataset.manifest.classes if gan.classes else ()
    shown = sum(one.train for one in classes)
    return GeneratorMetadata(
        format=1,
        latent_size=gan.config.latent_size,
        shape=dataset.manifest.shape,
        classes=tuple(one.name for one in classes),
        class_shares=tuple(1 / len(classes) if gan.config.balanced_classes else one.train / shown for one in classes),
        paired=gan.config.network == "unet",
        images_seen=gan.images_seen,
        collapsed=False,
        dataset_digest=dataset.manifest.digest,
        dataset_source=dataset.manifest.source,
        parameters=gan.config.model_dump(),
        tracking_run_id=None,
        versions=_versions(),
    )


def _xla(config: TrainConfig, distribution: Distribution) -> bool:
    """Whether the step is compiled. Replicas talk to each other within it, which XLA cannot compile."""
    if distribution.replicas > 1:
        if config.xla == "on":
            raise InvalidInput(
                "The parameter 'train.xla' must be auto or off on several devices. "
                f"Received: xla='on', {distribution.replicas} devices"
            )
        return False
    return _switch("xla", config.xla)


def _switch(name: str, value: Switch) -> bool:
    """Whether XLA or mixed precision is used: `auto` means on a GPU only."""
    import tensorflow as tf

    gpu = bool(tf.config.list_physical_devices("GPU"))
    if value == "on" and not gpu:
        _logger.warning("%s=on makes the training several times slower on a CPU.", name)
    return value == "on" or (value == "auto" and gpu)


def _key(config: TrainConfig, dataset_digest: str, xla: bool, mixed_precision: bool) -> str:
    """Names the checkpoints of all trainings that go the same way: what decides the weights, and nothing else."""
    import gan_core

    code = hashlib.sha256()
    root = Path(gan_core.__file__).parent
    for path in sorted(path for path in root.rglob("*.py") if "evaluation" not in path.parts):
        code.update(path.read_bytes())
    parameters = config.model_dump(exclude=_NOT_IN_THE_KEY) | {"xla": xla, "mixed_precision": mixed_precision}
    return _digest([parameters, dataset_digest, _versions(), code.hexdigest()])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _versions() -> dict[str, str]:
    import keras
    import numpy as np
    import tensorflow as tf

    packages = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    return {"python": platform.python_version(), **packages}


if __name__ == "__main__":
    run(main)

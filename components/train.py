"""Trains a generator on a prepared data set; run again after a stop or a kill, it goes on where it was.

Beside the command's exit codes: 1 also when the training diverged, 75 also after SIGTERM (as a machine that is taken
away sends it), 130 after Ctrl-C. A checkpoint is written before either ends the process.
"""

from __future__ import annotations

import argparse
import contextlib
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

from components import executor, storage
from components.command import configure_tensorflow, read_section, require_writable, run, whole_output
from gan_core.errors import InvalidInput, TryAgain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.progress import Progress
    from components.tracking import TrainingTracker
    from gan_core.config import Switch, TrainConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.training import Row, Training

# A training that only goes on for longer, or saves at other times, goes the same way.
_NOT_IN_THE_KEY = {"steps", "checkpoint_every_seconds", "checkpoints_kept"}
_COLUMNS = 8  # of the sample grid
_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and trains."""
    arguments = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    from gan_core.config import TrainConfig

    config = read_section(arguments.config, "train", TrainConfig)
    with storage.local_paths(arguments) as local:
        _train(local, config)


def _train(arguments: argparse.Namespace, config: TrainConfig) -> None:
    from gan_core.data.prepared import PreparedDataset
    from gan_core.networks.shapes import check_shape

    dataset = PreparedDataset(arguments.dataset)
    check_shape(dataset.manifest.shape)
    places = (arguments.checkpoints, arguments.model, arguments.history, arguments.samples)
    require_writable(*(place for place in places if isinstance(place, Path)))
    images = dataset.split("train")
    if images.count == 0:
        raise InvalidInput(f"The train split must hold an image. Received: {arguments.dataset}")
    configure_tensorflow()

    from components.mirror import mirrored
    from components.progress import progress
    from components.tracking import TrainingTracker
    from gan_core.checkpoints import Checkpoints
    from gan_core.gan import Gan
    from gan_core.training import Diverged, Training

    xla, mixed_precision = _switch("xla", config.xla), _switch("mixed_precision", config.mixed_precision)
    key = _key(config, dataset.manifest.digest, xla, mixed_precision)
    stop = _Stop()
    try:
        with (
            mirrored(arguments.checkpoints, key, config.checkpoints_kept) as (folder, mirror),
            Checkpoints(folder, config.checkpoints_kept, mirror.send if mirror else None) as checkpoints,
        ):
            # An MLflow run has one set of parameters: a training that goes on with more steps is another run.
            tracking = folder / f"tracking-{_digest(config.model_dump())}"
            gan = Gan(config, dataset.manifest.shape, xla=xla, mixed_precision=mixed_precision)
            training = Training(gan, images, checkpoints)
            if mirror:
                mirror.restore(training.target, tracking)
            training.resume()
            _logger.info("Training from %d to %d images, checkpoint key %s", gan.images_seen, training.target, key)
            tracker = TrainingTracker(
                tracking,
                parameters=config.model_dump(),
                tags={"checkpoint_key": key},
                dataset=dataset.manifest,
                kept_at=mirror.place_of(tracking) if mirror else None,
            )
            with (
                mirror.keeping(tracking) if mirror else contextlib.nullcontext(),
                progress(training.target, "images", "train", gan.images_seen) as bar,
                tracker,
            ):
                if not training.run(Hooks(training, bar, tracker, lambda: stop.received is not None)):
                    raise KeyboardInterrupt
                _write_outputs(arguments, training, dataset, tracker)
    except KeyboardInterrupt:
        if stop.received != signal.SIGTERM:
            raise
        raise TryAgain(
            f"The training was told to stop (SIGTERM) after {training.gan.images_seen} images. A checkpoint is "
            "written; the same command goes on from there."
        ) from None
    except Diverged as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    executor.write_output(arguments.executor_input)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.train", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its train section as a JSON object")
    options.add_argument(
        "--dataset", required=True, type=storage.input_path, help="folder written by components.prepare"
    )
    options.add_argument(
        "--checkpoints",
        required=True,
        type=storage.folder_path,
        help="folder for checkpoints of every training, or gs:// to mirror them to",
    )
    options.add_argument("--model", required=True, type=storage.output_path, help="output: folder of the generator")
    options.add_argument(
        "--history", required=True, type=storage.output_path, help="output: figures by images seen, .csv"
    )
    options.add_argument("--samples", required=True, type=storage.output_path, help="output: grid of samples, .png")
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

        self._tracker.log_image(images_seen, "samples", image_grid(images, _COLUMNS))


def _write_outputs(
    arguments: argparse.Namespace, training: Training, dataset: PreparedDataset, tracker: TrainingTracker
) -> None:
    from gan_core.data.grid import image_grid, write_png
    from gan_core.export import GeneratorMetadata, save_generator

    grid = image_grid(training.samples(), _COLUMNS)
    tracker.log_image(training.gan.images_seen, "samples", grid)
    metadata = GeneratorMetadata(
        format=1,
        latent_size=training.config.latent_size,
        shape=dataset.manifest.shape,
        classes=(),
        images_seen=training.gan.images_seen,
        collapsed=bool(training.history[-1]["collapsed"]),
        dataset_digest=dataset.manifest.digest,
        dataset_source=dataset.manifest.source,
        parameters=training.config.model_dump(),
        tracking_run_id=tracker.run_id,
        versions=_versions(),
    )
    with (
        whole_output(arguments.model) as model,
        whole_output(arguments.history) as history,
        whole_output(arguments.samples) as samples,
    ):
        save_generator(model, training.gan.averaged_generator, metadata)
        with history.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(training.history[-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(training.history)
        write_png(samples, grid)


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

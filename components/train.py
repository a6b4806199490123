"""Trains a generator on a prepared data set; run again after a stop or a kill, it continues from its checkpoint.

The exit code is also 1 if the training diverged, 75 after SIGTERM (which a preempted machine sends) and 130 after
Ctrl-C. A checkpoint is written before SIGTERM or Ctrl-C ends the process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from components import executor
from components.check import check
from components.cli.command import run
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.cache_folder import cache_folder
from components.tracking.model_name import champion_address, name_for_data, name_in_address
from components.training.hooks import Hooks, NoHooks
from components.training.outputs import describe, write_outputs
from gan_core.errors import InvalidInput, TryAgain

if TYPE_CHECKING:
    from components.registry.warm_start import Initial
    from gan_core.config import Switch, TrainConfig
    from gan_core.data.prepared import ImageSplit, PreparedDataset
    from gan_core.training.distribution import Distribution
    from gan_core.training.loop import Scorer, Training
    from gan_core.training.state import Gan

_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and trains."""
    arguments = executor.checked(parser().parse_args())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    from gan_core.config import TrainConfig

    config = read_section(arguments.config, "train", TrainConfig)
    with paths.local_paths(arguments) as local:
        _train(local, config)


def _train(arguments: argparse.Namespace, config: TrainConfig) -> None:
    from components.registry.warm_start import find_initial
    from components.tracking.server import check_destination
    from gan_core.data.prepared import PreparedDataset

    dataset = PreparedDataset(arguments.dataset)
    images = _checked(config, dataset)
    if not arguments.config.lstrip().startswith("{"):  # the whole params.yaml: check the later stages too
        check(arguments.config, arguments.config, dataset, arguments.cache)
    config = config.resolved(labelled=images.labelled)
    check_destination()
    initial = find_initial(_version_to_start_from(config.warm_start, arguments.champion, dataset))
    configure_tensorflow()

    from components.cli.progress import progress
    from components.storage.mirror import mirrored
    from components.tracking.tracker import TrainingTracker
    from components.training.code_digests import code_digests
    from components.training.identity import identify
    from gan_core.training.batches import Feed
    from gan_core.training.checkpoints import Checkpoints
    from gan_core.training.guards import Diverged
    from gan_core.training.loop import Training

    gan, xla, mixed_precision = _build(config, dataset, initial)
    scorer = _scorer(gan, dataset, arguments.cache) if config.score_every_images else None
    feed = Feed(images, config)
    if not gan.distribution.chief:
        _take_part(Training(gan, feed, None, scorer))
        return
    identity = identify(
        config, dataset.manifest.digest, initial.digest, code_digests(), xla=xla, mixed_precision=mixed_precision
    )
    stop = _Stop()
    try:
        with (
            mirrored(arguments.checkpoints, identity.key, config.checkpoints_kept) as mirror,
            Checkpoints(mirror.folder, config.checkpoints_kept, mirror.send) as checkpoints,
        ):
            # An MLflow run has one set of parameters, so a training that continues with more steps is another run.
            tracking = mirror.folder / f"tracking-{_digest(config.model_dump())}"
            training = Training(gan, feed, checkpoints, scorer)
            mirror.restore(training.target, tracking)
            training.resume()
            _logger.info(identity.start(arguments.checkpoints, gan.images_seen, training.target))
            identity.keep(arguments.checkpoints)
            tracker = TrainingTracker(
                tracking,
                parameters=config.model_dump(),
                tags={"checkpoint_key": identity.key, "started_from": initial.name},
                dataset=dataset.manifest,
                kept_at=mirror.place_of(tracking),
            )
            with (
                mirror.keeping(tracking),
                progress(training.target, "images", "train", gan.images_seen) as bar,
                tracker,
            ):
                if not training.run(Hooks(training, bar, tracker, lambda: stop.received is not None, dataset)):
                    raise KeyboardInterrupt
                write_outputs(arguments, training, dataset, tracker)
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


def _checked(config: TrainConfig, dataset: PreparedDataset) -> ImageSplit:
    """Returns the training images after checking that the parameters fit them."""
    from gan_core.data.manifest import first_names
    from gan_core.evaluation.requirements import require_images_to_score_while_training
    from gan_core.networks.shapes import check_shape
    from gan_core.networks.size import require_trainable

    check_shape(dataset.manifest.shape)
    require_trainable(config, dataset.manifest.shape)
    images, place = dataset.split("train"), dataset.folder
    if images.count == 0:
        raise InvalidInput(f"The train split must hold an image. Received: {place}")
    for name, value in (("conditional", "on"), ("balanced_classes", True)):
        if getattr(config, name) == value and not images.labelled:
            raise InvalidInput(
                f"The parameter 'train.{name}' needs images with labels. Received: {name}={value!r}, {place}"
            )
    absent = dataset.manifest.classes_without("train")
    if absent and config.resolved(labelled=images.labelled).conditional == "on":
        raise InvalidInput(
            "A conditional training needs a training image of every class: add images, lower "
            "prepare.held_out_fraction, change prepare.seed, or set train.conditional to off. "
            f"Received: conditional='on', {len(absent)} of {len(dataset.manifest.classes)} classes without: "
            f"{first_names(absent)}, in {place}"
        )
    if images.paired != config.paired:
        raise InvalidInput(
            "The network unet goes with pairs of images (prepare.pairs) and the others with single ones. Received: "
            f"network={config.network!r}, {'pairs' if images.paired else 'single images'} in {place}"
        )
    if config.score_every_images:
        require_images_to_score_while_training(dataset, config.score_samples)
    return images


def _version_to_start_from(warm_start: str, champion: str | Path | None, dataset: PreparedDataset) -> str:
    """The value of `train.warm_start`, with `champion` replaced by the champion's address."""
    if warm_start != "champion":
        return warm_start
    if champion is None:
        raise InvalidInput(
            "A warm start from the champion needs --champion, which names its model. "
            f"Received: warm_start={warm_start!r} without --champion"
        )
    if name_in_address(str(champion)):
        return str(champion)
    from gan_core.config import RegisterConfig

    configured = read_section(str(champion), "register", RegisterConfig).model_name
    return champion_address(name_for_data(configured, dataset))


def _build(config: TrainConfig, dataset: PreparedDataset, initial: Initial) -> tuple[Gan, bool, bool]:
    """Builds the networks on the available devices; also returns whether XLA and mixed precision are used."""
    from gan_core.training.distribution import Distribution
    from gan_core.training.state import Gan
    from gan_core.training.warm_start import start_from

    distribution = Distribution(config.distribution)
    xla, mixed_precision = _xla(config, distribution), _switch("mixed_precision", config.mixed_precision)
    manifest = dataset.manifest
    classes = len(manifest.classes) if config.conditional == "on" else 0
    gan = Gan(config, manifest.shape, classes, distribution=distribution, xla=xla, mixed_precision=mixed_precision)
    if initial.content:
        start_from(gan, initial.content, initial.name)
    return gan, xla, mixed_precision


def _take_part(training: Training) -> None:
    """Trains together with the chief; only the chief writes."""
    training.resume()
    training.run(NoHooks())


def _scorer(gan: Gan, dataset: PreparedDataset, cache: Path) -> Scorer:
    """Scores the averaged generator as evaluation does, with fewer images."""
    from gan_core.evaluation.quick_scores import scorer
    from gan_core.export import Generator

    return scorer(Generator(gan.averaged_generator, describe(gan, dataset)), dataset, gan.config.score_samples, cache)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.train", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its train section as a JSON object")
    options.add_argument("--dataset", required=True, type=paths.input_path, help="folder written by components.prepare")
    options.add_argument(
        "--champion",
        type=paths.input_or_text,
        help="what `train.warm_start: champion` names: models:/NAME@champion; or params.yaml or its register section",
    )
    options.add_argument(
        "--checkpoints",
        required=True,
        type=paths.folder_path,
        help="folder for checkpoints of every training, or gs:// to mirror them to",
    )
    options.add_argument(
        "--model", required=True, type=paths.output(kinds.GENERATOR), help="output: folder of the generator"
    )
    options.add_argument(
        "--history", required=True, type=paths.output(kinds.HISTORY), help="output: figures by images seen, .csv"
    )
    options.add_argument(
        "--samples", required=True, type=paths.output(kinds.SAMPLES), help="output: grid of samples, .png"
    )
    options.add_argument(
        "--cache", type=paths.local_path, default=cache_folder(), help="folder for what need not be computed twice"
    )
    executor.add_option(options)
    return options


class _Stop:
    """Remembers the first SIGTERM or SIGINT, so that a step and a checkpoint can finish; a second one ends at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _xla(config: TrainConfig, distribution: Distribution) -> bool:
    """Whether XLA compiles the step. It cannot compile the communication between several replicas."""
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


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run(main)

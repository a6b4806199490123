"""Trains a generator on a prepared data set. After a stop or a kill, the same command continues from the checkpoint.

The exit code is also 1 if the training diverged, 75 after SIGTERM (which a preempted machine sends) and 130 after
Ctrl-C. A checkpoint is written before SIGTERM or Ctrl-C ends the process. While another process trains with the same
checkpoints, this one waits; then it continues from them, in the same MLflow run if the parameters are equal.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components import executor
from components.check import check
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.cache_folder import cache_folder
from components.trainer.rendezvous import join
from components.training.build import build_gan, fitted, version_to_start_from
from components.training.hooks import Hooks
from components.training.outputs import write_outputs
from components.training.stop_signal import StopSignal
from gan_core.digests import json_digest
from gan_core.exit_codes import run
from gan_core.printing import fail

if TYPE_CHECKING:
    from gan_core.config import TrainConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.training.loop import Scorer, Training
    from gan_core.training.state import Gan

_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and trains."""
    arguments = executor.checked(parser().parse_args())
    join(os.environ)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    from gan_core.config import TrainConfig

    config = read_section(arguments.config, TrainConfig)
    with paths.local_paths(arguments) as local:
        _train(local, config)


def _train(arguments: argparse.Namespace, config: TrainConfig) -> None:
    from components.registry.warm_start import find_initial
    from components.tracking.server import check_destination
    from gan_core.data.prepared import PreparedDataset

    # All checks of the input come before TensorFlow is imported.
    dataset = PreparedDataset(arguments.dataset)
    config, images, recipe = fitted(config, dataset)
    if not arguments.config.lstrip().startswith("{"):  # with the whole params.yaml, the later stages are checked too
        check(arguments.config, arguments.config, dataset, arguments.cache)
    check_destination()
    initial = find_initial(version_to_start_from(config.warm_start, arguments.champion, dataset))
    configure_tensorflow()

    from components.cli.progress import progress
    from components.storage.mirror import mirrored
    from components.tracking.records import packed
    from components.tracking.tracker import TrainingTracker
    from components.training.code_digests import code_digests
    from components.training.identity import identify
    from gan_core.training.batches import RealBatches
    from gan_core.training.guards import Diverged
    from gan_core.training.loop import Training
    from gan_core.training.warm_start import start_from

    gan, xla, mixed_precision = build_gan(config, dataset)
    if initial.content:
        start_from(gan, initial.content, initial.name, initial.parameters, dataset.manifest.codec)
    scorer = _scorer(gan, dataset, arguments.cache) if config.score_every_images else None
    batches = RealBatches(images, config)
    if not gan.distribution.chief:
        _follow_chief(Training(gan, batches, None, scorer, xla=xla))
        return
    identity = identify(
        config, dataset.manifest.digest, initial.digest, code_digests(), xla=xla, mixed_precision=mixed_precision
    )
    stop, items = StopSignal(), f"{dataset.manifest.item}s"
    place = arguments.checkpoints
    try:
        with (
            gan.distribution.peers(),
            mirrored(place, identity.key, config.checkpoints_kept, stop.pause) as (mirror, checkpoints),
        ):
            # An MLflow run has one set of parameters, so a training that continues with more steps gets another run.
            tracking = mirror.folder / f"tracking-{json_digest(config.model_dump())[:16]}"
            training = Training(gan, batches, checkpoints, scorer, xla=xla)
            mirror.restore(training.target, tracking)
            training.resume()
            _logger.info(identity.start_message(place, gan.images_seen, training.target, items))
            identity.write(place)
            tracker = TrainingTracker(
                tracking,
                parameters=config.model_dump(),
                tags={"checkpoint_key": identity.key, "started_from": initial.name, "recipe": recipe},
                dataset=dataset.manifest,
                permanent_location=mirror.place_of(tracking),
                passed_on=arguments.records is not None,
            )
            with (
                mirror.keeping(tracking),
                packed(tracking, arguments.records),
                progress(training.target, items, "train", gan.images_seen) as bar,
                tracker,
            ):
                if not training.run(Hooks(training, bar, tracker, lambda: stop.received is not None, dataset)):
                    sys.exit(stop.exit_code)  # so that MLflow's run ends as killed, not as failed
                write_outputs(arguments, training, dataset, tracker)
    except SystemExit:
        fail(
            stop.exit_code,
            f"The training was told to stop ({stop.name}) after {gan.images_seen} {items}. A checkpoint is written; "
            "the same command continues from there.",
        )
    except Diverged as error:
        fail(1, error)
    executor.write_output(arguments.executor_input)


def _follow_chief(training: Training) -> None:
    """Trains together with the chief. Only the chief writes."""
    with training.gan.distribution.peers():
        training.resume()
        training.run()


def _scorer(gan: Gan, dataset: PreparedDataset, cache: Path) -> Scorer:
    """Scores the averaged generator as evaluation does, with fewer images."""
    from gan_core.evaluation.quick_scores import scorer
    from gan_core.generator import Generator
    from gan_core.training.describe import describe_generator

    generator = Generator(gan.averaged_generator, describe_generator(gan, dataset))
    return scorer(generator, dataset, gan.config.score_samples, cache)


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
        "--history", required=True, type=paths.output(kinds.HISTORY), help="output: metrics by images seen, .csv"
    )
    options.add_argument(
        "--samples", required=True, type=paths.output(kinds.SAMPLES), help="output: grid of samples, .png"
    )
    options.add_argument(
        "--samples-page", type=paths.output(kinds.SAMPLES_PAGE), help="output: the grid of samples as a page, .html"
    )
    options.add_argument(
        "--records",
        type=paths.output(kinds.RECORDS),
        help="output: the records for MLflow, from which components.evaluate sends what MLflow did not receive, .tar",
    )
    options.add_argument("--cache", type=paths.local_path, default=cache_folder(), help="folder for cached results")
    executor.add_option(options)
    return options


if __name__ == "__main__":
    run(main)

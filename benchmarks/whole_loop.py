"""The speed of the whole training loop, which train_step.py compares with that of its bare step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.progress import progress
from components.tracking.tracker import TrainingTracker
from components.training.hooks import Hooks
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    from gan_core.training.state import Gan

_SECTION = 100  # training steps in a section, followed by about as many bare steps


def new_gan(config: TrainConfig, dataset: PreparedDataset) -> Gan:
    """Builds the GAN of `config` for the data."""
    from gan_core.training.state import Gan

    return Gan(config, dataset.manifest.shape, len(dataset.manifest.classes) if config.conditional == "on" else 0)


def bare_step_and_loop(config: TrainConfig, dataset: PreparedDataset, folder: Path) -> tuple[float, float]:
    """Returns images per second of bare steps, and of the command's own loop from its first step to its last hook.

    The bare steps train a second GAN on the first batches of the training, held in memory. Compilation of both is
    excluded, and so is the training of the classifier for the scores.
    """
    from gan_core.evaluation.quick_scores import scorer
    from gan_core.generator import Generator
    from gan_core.training.batches import RealBatches
    from gan_core.training.describe import describe_generator
    from gan_core.training.loop import Training
    from gan_core.training.step import TrainStep

    real_batches = RealBatches(dataset.split("train"), config)
    gan, bare = new_gan(config, dataset), new_gan(config, dataset)
    bare_step = TrainStep(bare)
    images_of_a_section = _SECTION * gan.images_per_step
    images_at_once = bare_step.steps_per_execution * gan.images_per_step
    in_memory = [
        real_batches.batches(images_seen, bare_step.steps_per_execution)
        for images_seen in range(0, images_of_a_section, images_at_once)
    ]
    bare_step(in_memory[0])
    bare.metrics.take_totals()

    class WithBareSteps(Hooks):
        """Makes bare steps after every section of the training."""

        started = spent = 0.0
        counted_from = bare_images = 0

        def on_step(self, images_seen: int) -> None:
            if not self.started:
                self.started, self.counted_from = time.perf_counter(), images_seen
            super().on_step(images_seen)
            if images_seen % images_of_a_section == 0:
                gan.metrics.failure()  # waits for the step
                checkpoints.wait()
                before = time.perf_counter()
                for batches in in_memory:
                    bare_step(batches)
                bare.metrics.take_totals()
                self.spent += time.perf_counter() - before
                self.bare_images += len(in_memory) * images_at_once

    with Checkpoints(folder, config.checkpoints_kept) as checkpoints:
        generator = Generator(gan.averaged_generator, describe_generator(gan, dataset))
        score = scorer(generator, dataset, config.score_samples, folder.parent / "cache")
        training = Training(gan, real_batches, checkpoints, score if config.score_every_images else None)
        with (
            progress(training.target, "images", "train") as bar,
            TrainingTracker(
                folder / "tracking", parameters=config.model_dump(), tags={}, dataset=dataset.manifest
            ) as tracker,
        ):
            hooks = WithBareSteps(training, bar, tracker, lambda: False, dataset)
            training.run(hooks)
            took = time.perf_counter() - hooks.started - hooks.spent
    return hooks.bare_images / hooks.spent, (training.target - hooks.counted_from) / took

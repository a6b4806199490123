"""The training loop: batches in, rows of metrics, sample grids, scores and checkpoints out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping

import numpy as np

from gan_core import metric_names as names
from gan_core.errors import InvalidInput
from gan_core.training.batches import RealBatches
from gan_core.training.best import BestGenerator
from gan_core.training.checkpoints import Checkpoints, State
from gan_core.training.course import Course
from gan_core.training.fixed_samples import FixedSamples
from gan_core.training.guards import Diverged, Guards, require_finite
from gan_core.training.hooks import Hooks, NoHooks, Row
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep, check_batches
from gan_core.training.throughput import Throughput

_logger = logging.getLogger(__name__)

Scorer = Callable[[], Mapping[str, float]]
"""A function that scores the averaged generator. The first score decides which is best, and lower is better."""


class Training:
    """One training: its state, and the loop that updates it.

    Args:
        gan: the networks.
        batches: the real images.
        checkpoints: where to write checkpoints; None on a host that does not write.
        scorer: called after every `score_every_images` and at the end; None to compute no scores.
        xla: whether to compile the step with XLA.

    Attributes:
        gan: the networks and their counters.
        samples: samples of the averaged generator from fixed latents.
        best: the generator with the best score.
        course: samples during the training, and the time spent.
        history: a row for every `log_every_images`, every score and the end, oldest first.
        target: total number of real images to see.

    Raises:
        InvalidInput: the batches do not fit the GAN's parameters, image shape or classes.

    >>> training = Training(gan, RealBatches(images, config), checkpoints=None)
    >>> training.target, training.run()  # the script has trained this GAN to the end
    (80, True)
    """

    def __init__(
        self,
        gan: Gan,
        batches: RealBatches,
        checkpoints: Checkpoints | None,
        scorer: Scorer | None = None,
        *,
        xla: bool = False,
    ) -> None:
        check_batches(batches.batches(0, 1), gan)
        if batches.classes > gan.classes:
            raise InvalidInput(
                f"The labels of a training must be below the GAN's number of classes. Received: label "
                f"{batches.classes - 1}, {gan.classes} classes"
            )
        self.gan = gan
        self.config = gan.config
        self.history: list[Row] = []
        self.target = self.config.steps * gan.images_per_step
        self.samples = FixedSamples(gan, batches)
        self.best = BestGenerator()
        self.course = Course()
        self._step = TrainStep(gan, xla=xla)
        self._batches = batches
        self._checkpoints = checkpoints
        self._scorer = scorer
        self._guards = Guards(self.config, self.samples.real_distance, self.samples.labels)
        if self.config.reconstruction != "none" and not self.config.paired:
            _logger.warning(
                "The %s reconstruction term compares unpaired examples, so it pulls every sample towards their mean.",
                self.config.reconstruction,
            )

    def resume(self) -> bool:
        """Restores the newest checkpoint with at most `target` images seen; returns whether there is one.

        Raises:
            InvalidInput: a GAN with other networks, or no training, wrote the checkpoint, or the checkpoints' `with`
                statement has not begun or has ended.
        """
        state: State | None = None
        if self._checkpoints:
            self._checkpoints.wait()
            state = self._checkpoints.newest(at_most=self.target)
        state = self.gan.distribution.from_chief(state)
        if state is None:
            return False
        name = f"the newest checkpoint in {self._checkpoints.folder}" if self._checkpoints else "the chief's checkpoint"
        if "history" not in state:
            raise InvalidInput(
                f"A training must continue from a checkpoint of a training. Received: {name}, without rows"
            )
        self.gan.restore(state, name)
        self.best.restore(state)
        self.course.restore(state)
        rows = json.loads(str(state["history"]))
        self.history = [{names.current(name): value for name, value in row.items()} for row in rows]
        return True

    def run(self, hooks: Hooks | None = None) -> bool:
        """Trains until `target`, or until the score has not improved for `patience_images`.

        At the end, adds a row for the rest of the last interval, with a score if there is a scorer. If a loss or a
        weight is no longer finite, restores the last good checkpoint and continues with lower learning rates, at most
        once.

        Args:
            hooks: callbacks during the training; by default none.

        Returns:
            True if the training ended, False if the hooks asked to stop. Either way a checkpoint is on the disk.

        Raises:
            Diverged: a loss or a weight is not finite, and the training cannot or must not continue from a checkpoint.
            InvalidInput: the checkpoints' `with` statement has not begun, or it has ended.
        """
        if self._checkpoints:
            self._checkpoints.require_entered()
        hooks = hooks or NoHooks()
        try:
            return self._run(hooks)
        except Diverged as error:
            factor = self.config.recovery_learning_rate_factor
            recovered_before = self.gan.learning_rate_scale.numpy() < 1
            if factor == 0 or recovered_before or not self.resume():
                raise
            self.gan.learning_rate_scale.assign(self.gan.learning_rate_scale * factor)
            self.gan.metrics.clear_failure()
            _logger.warning(
                "%s The training continues from there, at %d examples, with %s times the learning rates.",
                error,
                self.gan.images_seen,
                factor,
            )
            return self._run(hooks)

    def _run(self, hooks: Hooks) -> bool:
        gan, config = self.gan, self.config
        saved_at = time.monotonic()
        throughput = Throughput()
        self.course.start()
        if gan.images_seen == 0:
            self._show_samples(hooks)
        while gan.images_seen < self.target and not self.best.is_stale(config.patience_images):
            if hooks.stop_requested():
                self._save()
                return False
            before = gan.images_seen
            # Read between steps: a thread that reads ahead slows the steps down by more than it saves.
            self._step(self._batches.batches(before, self._steps_at_once()))
            self.course.advance()
            hooks.on_step(gan.images_seen)
            throughput.start(gan.images_seen)
            score_is_due = self._scorer is not None and _passed(config.score_every_images, before, gan.images_seen)
            if score_is_due or _passed(config.log_every_images, before, gan.images_seen):
                self._add_row(hooks, throughput, with_score=score_is_due)
            if _passed(config.samples_every_images, before, gan.images_seen):
                self._show_samples(hooks)
            if time.monotonic() - saved_at >= config.checkpoint_every_seconds:
                self._save(wait=False)
                saved_at = time.monotonic()
        # Save before the last row and score: a training with more steps resumes here, and must not depend on this stop.
        self._save()
        if self._steps_since_row():
            self._add_row(hooks, throughput, with_score=self._scorer is not None)
        elif self._scorer is not None and self.best.scored_at < gan.images_seen:
            self.history[-1] = {**self.history[-1], **self.best.record(gan, self._scorer())}
            hooks.on_row(self.history[-1])
        return True

    def _steps_at_once(self) -> int:
        """Returns `steps_per_execution`, or 1 if that many steps would pass a row, a grid, a score or the end."""
        count, before = self._step.steps_per_execution, self.gan.images_seen
        last = before + (count - 1) * self.gan.images_per_step
        intervals = [self.config.log_every_images, self.config.samples_every_images]
        if self._scorer is not None:
            intervals.append(self.config.score_every_images)
        goes_past = last >= self.target or any(_passed(interval, before, last) for interval in intervals)
        return 1 if goes_past else count

    def _show_samples(self, hooks: Hooks) -> None:
        self.course.add(self.gan.images_seen, self.samples.images())
        hooks.on_samples(self.gan.images_seen, self.samples.grid())

    def _steps_since_row(self) -> int:
        last = int(self.history[-1]["images_seen"]) if self.history else 0
        return (self.gan.images_seen - last) // self.gan.images_per_step

    def _add_row(self, hooks: Hooks, throughput: Throughput, *, with_score: bool) -> None:
        gan = self.gan
        norms = gan.weight_norms()
        require_finite(gan, norms, self._checkpoints)
        steps = self._steps_since_row()
        means = {name: total / steps for name, total in gan.metrics.take_totals().items()}
        for name, used in (
            (names.RECONSTRUCTION, self.config.reconstruction != "none"),
            (names.PENALTY, self.config.penalised),
            (names.AUGMENT_PROBABILITY, bool(self.config.augment)),
        ):
            if not used:
                del means[name]
        rate = throughput.images_per_second(gan.images_seen)
        guarded = self._guards.judge(gan.images_seen, self.samples.draw(), means, self.history)
        scores: Mapping[str, float] = {}
        if with_score and self._scorer is not None:
            scores = self.best.record(gan, self._scorer())
            throughput.exclude_pause()
        row = {
            "images_seen": gan.images_seen,
            **means,
            **norms,
            **guarded,
            **gan.learning_rates(),
            names.EXAMPLES_PER_SECOND: rate,
            **scores,
        }
        self.history.append(row)
        hooks.on_row(row)

    def _save(self, *, wait: bool = True) -> None:
        state = self.gan.state()
        require_finite(self.gan, state, self._checkpoints)
        if self._checkpoints:
            state |= self.best.state() | self.course.state() | {"history": np.array(json.dumps(self.history))}
            self._checkpoints.write(self.gan.images_seen, state)
            if wait:
                self._checkpoints.wait()


def _passed(interval: int, before: int, now: int) -> bool:
    """Whether a multiple of `interval` lies in (`before`, `now`]."""
    return now // interval > before // interval

"""The training loop: batches in, rows of figures, sample grids, scores and checkpoints out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core import metric_names
from gan_core.export import draw_latents, to_uint8
from gan_core.training.batches import Feed
from gan_core.training.best_generator import Best
from gan_core.training.checkpoints import Checkpoints, State
from gan_core.training.course import SHOWN_AT_ONCE, Course
from gan_core.training.diversity import mean_pairwise_distance
from gan_core.training.guards import Diverged, Guards
from gan_core.training.state import Gan

_SAMPLES = 64
_COLUMNS = 8
_MOST_CLASSES_SHOWN = 16
_logger = logging.getLogger(__name__)

Row = Mapping[str, float]
Scorer = Callable[[], Mapping[str, float]]
"""Scores the averaged generator; the first score decides which is best, and lower is better."""


class Hooks(Protocol):
    """Callbacks of the training loop."""

    def on_step(self, images_seen: int) -> None:
        """Called after every step, or after several steps made in one call."""

    def on_row(self, row: Row) -> None:
        """Called after every `log_every_images`, every score and at the end, with means since the last row.

        Called again at the end if the last row was added before its score.
        """

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Called at the start and after every `samples_every_images` with the result of `Training.samples`."""

    @property
    def stop_requested(self) -> Callable[[], bool]:
        """A function that says whether to write a checkpoint and stop."""


class Training:
    """One training: its state, and the loop that advances it.

    Args:
        gan: the networks.
        feed: the real images.
        checkpoints: None on a host that does not write.
        scorer: called after every `score_every_images`, and at the end.

    Attributes:
        gan: the networks and their counters.
        course: samples over the training, and the time spent.
        history: a row for every `log_every_images`, every score and the end, oldest first.
        target: real images to see in total.
        columns: columns in a grid of `samples`; for a conditional GAN each row has one class.
    """

    def __init__(self, gan: Gan, feed: Feed, checkpoints: Checkpoints | None, scorer: Scorer | None = None) -> None:
        self.gan = gan
        self.config = gan.config
        self.history: list[Row] = []
        self.target = self.config.steps * gan.images_per_step
        self.columns = _COLUMNS
        self._feed = feed
        self._checkpoints = checkpoints
        self._scorer = scorer
        self._best = Best()
        self.course = Course()
        self._classes_shown = min(gan.classes, _MOST_CLASSES_SHOWN)
        count = self._classes_shown * _COLUMNS or _SAMPLES
        self._latents = draw_latents(count, self.config.latent_size, self.config.seed)
        shown = feed.order.positions(0, count)
        self._real = feed.images.images(shown)
        self._inputs = feed.conditions(shown)[1]
        self._labels = (np.arange(count) % self._classes_shown).astype(np.int32) if gan.classes else None
        self._guards = Guards(self.config, self._real_distance(np.unique(shown)), self._labels)
        if self.config.reconstruction != "none" and self._inputs is None:
            _logger.warning(
                "The %s reconstruction term compares unpaired images, so it pulls every sample towards the mean image.",
                self.config.reconstruction,
            )

    def resume(self) -> bool:
        """Restores the newest checkpoint with at most `target` images seen; returns whether there is one."""
        state: State | None = None
        if self._checkpoints:
            self._checkpoints.wait()
            state = self._checkpoints.newest(at_most=self.target)
        state = self.gan.distribution.from_chief(state)
        if state is None:
            return False
        self.gan.restore(state)
        self._best.restore(state)
        self.course.restore(state)
        rows = json.loads(str(state["history"]))
        self.history = [{metric_names.current(name): value for name, value in row.items()} for row in rows]
        return True

    def run(self, hooks: Hooks) -> bool:
        """Trains until `target`, or until the score has not improved for `patience_images`.

        Then adds a row for the rest of the last interval, with a score if there is a scorer. If a loss or a weight is
        no longer finite, restores the last good checkpoint and continues with lower learning rates, at most once.

        Returns:
            True if the training ended, False if the hooks asked to stop. Either way a checkpoint is on the disk.

        Raises:
            Diverged: a loss or a weight is not finite.
        """
        try:
            return self._run(hooks)
        except Diverged as error:
            factor = self.config.recovery_learning_rate_factor
            if factor == 0 or self.gan.learning_rate_scale < 1 or not self.resume():
                raise
            self.gan.slow_down(factor)
            _logger.warning(
                "%s The training goes on from there, at %d images, with %s times the learning rates.",
                error,
                self.gan.images_seen,
                factor,
            )
            return self._run(hooks)

    def _run(self, hooks: Hooks) -> bool:
        gan, config = self.gan, self.config
        saved_at = time.monotonic()
        clock = _Clock()
        self.course.start()
        if gan.images_seen == 0:
            self._show(hooks)
        while gan.images_seen < self.target and not self._best.is_stale(config.patience_images):
            if hooks.stop_requested():
                self._save()
                return False
            before = gan.images_seen
            # Read between steps: a thread that reads ahead slows the steps down by more than it saves.
            gan.step(self._feed.batches(before, self._steps_at_once()))
            self.course.advance()
            hooks.on_step(gan.images_seen)
            clock.start(gan.images_seen)
            score_is_due = self._scorer is not None and _passed(config.score_every_images, before, gan.images_seen)
            if score_is_due or _passed(config.log_every_images, before, gan.images_seen):
                self._add_row(hooks, clock, with_score=score_is_due)
            if _passed(config.samples_every_images, before, gan.images_seen):
                self._show(hooks)
            if time.monotonic() - saved_at >= config.checkpoint_every_seconds:
                self._save(wait=False)
                saved_at = time.monotonic()
        # Save before the last row and score: a training with more steps resumes here, and must not depend on this stop.
        self._save()
        if self._steps_since_row():
            self._add_row(hooks, clock, with_score=self._scorer is not None)
        elif self._scorer is not None and self._best.scored_at < gan.images_seen:
            self.history[-1] = {**self.history[-1], **self._best.agree(gan, self._scorer())}
            hooks.on_row(self.history[-1])
        return True

    def _steps_at_once(self) -> int:
        """Returns `steps_per_execution`, or 1 if that would go past a row, a grid, a score or the end."""
        count, before = self.gan.steps_per_execution, self.gan.images_seen
        last = before + (count - 1) * self.gan.images_per_step
        intervals = [self.config.log_every_images, self.config.samples_every_images]
        if self._scorer is not None:
            intervals.append(self.config.score_every_images)
        goes_past = last >= self.target or any(_passed(interval, before, last) for interval in intervals)
        return 1 if goes_past else count

    def _show(self, hooks: Hooks) -> None:
        self.course.add(self.gan.images_seen, self.moment())
        hooks.on_samples(self.gan.images_seen, self.samples())

    def moment(self) -> NDArray[np.uint8]:
        """Returns the first few current samples, uint8 [N, H, W, C]; a conditional GAN's show its classes in turn."""
        return to_uint8(self._sampled()[:SHOWN_AT_ONCE])

    def samples(self) -> NDArray[np.uint8]:
        """Returns images of the averaged generator, always from the same latents, uint8 [N, H, W, C].

        A conditional GAN gives `columns` images of each of the first classes, class by class. A paired GAN gives for
        each image the input, the output and the target side by side: [N, H, 3 W, C].
        """
        images = to_uint8(self._sampled())
        if self._labels is not None:
            images = images[np.argsort(self._labels, kind="stable")]
        return images if self._inputs is None else np.concatenate([self._inputs, images, self._real], axis=2)

    def _real_distance(self, shown: NDArray[np.int64]) -> float:
        """Returns the mean distance of two real images at `shown`; for a conditional GAN, of two of the same class."""
        labels = None
        if self._labels is not None:
            known = self._feed.images.labels(np.arange(self._feed.images.count))
            shown = np.concatenate([np.flatnonzero(known == one)[:_COLUMNS] for one in range(self._classes_shown)])
            labels = known[shown]
        return mean_pairwise_distance(self._feed.images.images(shown) / np.float32(127.5), labels)

    def _sampled(self) -> NDArray[np.float32]:
        condition: NDArray[Any] | None = self._labels
        if self._inputs is not None:
            condition = self._inputs / np.float32(127.5) - np.float32(1)
        return self.gan.sample(self._latents, condition)

    def take_best(self) -> int:
        """Sets the averaged generator to the weights with the best score; returns the images seen at that moment.

        Call it after the training. Without a score the generator stays as it is.
        """
        return self._best.give_to(self.gan)

    def _steps_since_row(self) -> int:
        last = int(self.history[-1]["images_seen"]) if self.history else 0
        return (self.gan.images_seen - last) // self.gan.images_per_step

    def _add_row(self, hooks: Hooks, clock: _Clock, *, with_score: bool) -> None:
        gan = self.gan
        norms = gan.weight_norms()
        self._check_finite(norms)
        steps = self._steps_since_row()
        figures = {name: total / steps for name, total in gan.take_totals().items()}
        for name, used in (
            (metric_names.RECONSTRUCTION, self.config.reconstruction != "none"),
            (metric_names.PENALTY, self.config.penalised),
            (metric_names.AUGMENT_PROBABILITY, bool(self.config.augment)),
        ):
            if not used:
                del figures[name]
        rate = clock.images_per_second(gan.images_seen)
        guarded = self._guards.judge(gan.images_seen, self._sampled(), figures, self.history)
        scores: Mapping[str, float] = {}
        if with_score and self._scorer is not None:
            scores = self._best.agree(gan, self._scorer())
            clock.start_anew()
        row = {
            "images_seen": gan.images_seen,
            **figures,
            **norms,
            **guarded,
            metric_names.LEARNING_RATE_SCALE: gan.learning_rate_scale,
            **gan.learning_rates(),
            metric_names.EXAMPLES_PER_SECOND: rate,
            **scores,
        }
        self.history.append(row)
        hooks.on_row(row)

    def _save(self, *, wait: bool = True) -> None:
        state = self.gan.state()
        self._check_finite({name: _worst(array) for name, array in state.items()})
        if self._checkpoints:
            state |= self._best.state() | self.course.state() | {"history": np.array(json.dumps(self.history))}
            self._checkpoints.write(self.gan.images_seen, state)
            if wait:
                self._checkpoints.wait()

    def _check_finite(self, values: Mapping[str, float]) -> None:
        failure = self.gan.failure()
        if failure is None:
            failure = next(((self.gan.images_seen, n, v) for n, v in values.items() if not np.isfinite(v)), None)
        if failure is not None:
            images_seen, name, value = failure
            last_good = self._checkpoints.last_good() if self._checkpoints else None
            raise Diverged(
                f"Losses and weights must stay finite; try a lower learning_rate. Received: {name}={value} at step "
                f"{images_seen // self.gan.images_per_step} ({images_seen} images). The last good checkpoint: "
                f"{last_good or 'none'}."
            )


class _Clock:
    """Measures images per second after the first step of this process, so that compilation does not count."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def start(self, images_seen: int) -> None:
        """Starts the clock if it is not running."""
        self._since = self._since or (time.monotonic(), images_seen)

    def start_anew(self) -> None:
        """Excludes the time since the last call of `images_per_second`."""
        if self._since:
            self._since = (time.monotonic(), self._since[1])

    def images_per_second(self, images_seen: int) -> float:
        """The rate since the last call; 0 if there was no step to measure."""
        now = time.monotonic()
        since, before = self._since or (now, images_seen)
        self._since = (now, images_seen)
        return (images_seen - before) / (now - since) if images_seen > before else 0.0


def _passed(interval: int, before: int, now: int) -> bool:
    """Whether a multiple of `interval` lies in (`before`, `now`]."""
    return now // interval > before // interval


def _worst(array: NDArray[np.generic]) -> float:
    """Returns a value of `array` that is not finite; 0 if all are finite."""
    bad = array[~np.isfinite(array)] if np.issubdtype(array.dtype, np.inexact) else np.empty(0)
    return float(bad.flat[0]) if bad.size else 0.0

"""The training loop: batches in, rows of figures, sample grids and checkpoints out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.batches import EpochOrder
from gan_core.checkpoints import Checkpoints
from gan_core.config import TrainConfig
from gan_core.data.prepared import ImageSplit
from gan_core.diversity import has_collapsed, mean_pairwise_distance, relative_diversity
from gan_core.export import draw_latents, to_uint8
from gan_core.gan import Gan

SAMPLES = 64
_logger = logging.getLogger(__name__)

Row = Mapping[str, float]


class Diverged(Exception):
    """A loss or a weight is not finite any more. The message says which, when, and where the last good state is."""


class Hooks(Protocol):
    """What happens around the steps."""

    def on_step(self, images_seen: int) -> None:
        """After every step."""

    def on_row(self, row: Row) -> None:
        """After every `log_every_images`: the figures, averaged over the steps since the last row."""

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """At the start and after every `samples_every_images`: images of the same latents, [64, H, W, C]."""

    @property
    def stop_requested(self) -> Callable[[], bool]:
        """Says whether to write a checkpoint and stop."""


class Training:
    """One training: the state to be restored, and the loop that moves it.

    Attributes:
        gan: the networks and their counters.
        history: a row for every `log_every_images`, oldest first.
        target: real images to be seen.
    """

    def __init__(self, gan: Gan, images: ImageSplit, checkpoints: Checkpoints) -> None:
        self.gan = gan
        self.history: list[Row] = []
        self.config: TrainConfig = gan.config
        self.target = self.config.steps * gan.images_per_step
        self._images = images
        self._checkpoints = checkpoints
        self._order = EpochOrder(images.count, self.config.seed)
        self._latents = draw_latents(SAMPLES, self.config.latent_size, self.config.seed)
        chosen = self._order.positions(0, min(SAMPLES, images.count))
        self._real_distance = mean_pairwise_distance(images.images(chosen) / np.float32(127.5))
        if self.config.reconstruction != "none":
            _logger.warning(
                "The %s reconstruction term compares unpaired images, so it pulls every sample towards the mean image.",
                self.config.reconstruction,
            )

    def resume(self) -> None:
        """Restores the newest checkpoint that lies on the way to `target`, if there is one."""
        state = self._checkpoints.newest(at_most=self.target)
        if state is not None:
            self.gan.restore(state)
            self.history = json.loads(str(state["history"]))

    def run(self, hooks: Hooks) -> bool:
        """Trains until `target`, then adds a row for what is left of the last interval.

        Returns:
            Whether the target was reached; False if the hooks asked to stop. Either way a checkpoint is on the disk.

        Raises:
            Diverged: a loss or a weight is not finite.
        """
        gan, config = self.gan, self.config
        saved_at = time.monotonic()
        clock = _Clock()
        if gan.images_seen == 0:
            hooks.on_samples(0, self.samples())
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(self._batch, gan.images_seen)
            while gan.images_seen < self.target:
                if hooks.stop_requested():
                    self._save()
                    self._checkpoints.wait()
                    return False
                batch = upcoming.result()
                before = gan.images_seen
                upcoming = reader.submit(self._batch, before + gan.images_per_step)
                gan.step(batch)
                hooks.on_step(gan.images_seen)
                clock.start(gan.images_seen)
                if gan.images_seen // config.log_every_images > before // config.log_every_images:
                    self.history.append(self._row(clock))
                    hooks.on_row(self.history[-1])
                if gan.images_seen // config.samples_every_images > before // config.samples_every_images:
                    hooks.on_samples(gan.images_seen, self.samples())
                if time.monotonic() - saved_at >= config.checkpoint_every_seconds:
                    self._save()
                    saved_at = time.monotonic()
        # Before the row: a training with more steps goes on from here, and its rows must not depend on this stop.
        self._save()
        self._checkpoints.wait()
        if self._steps_since_row():
            self.history.append(self._row(clock))
            hooks.on_row(self.history[-1])
        return True

    def samples(self) -> NDArray[np.uint8]:
        """Images of the averaged generator, of the same latents at any time, uint8 [64, H, W, C]."""
        return to_uint8(self.gan.sample(self._latents))

    def _batch(self, images_seen: int) -> NDArray[np.uint8]:
        batch = self._images.images(self._order.positions(images_seen, self.gan.images_per_step))
        return batch.reshape(self.config.discriminator_steps, self.config.batch_size, *batch.shape[1:])

    def _steps_since_row(self) -> int:
        last = int(self.history[-1]["images_seen"]) if self.history else 0
        return (self.gan.images_seen - last) // self.gan.images_per_step

    def _row(self, clock: _Clock) -> Row:
        norms = self.gan.weight_norms()
        self._check_finite(norms)
        steps = self._steps_since_row()
        figures = {name: total / steps for name, total in self.gan.take_totals().items()}
        if self.config.reconstruction == "none":
            del figures["reconstruction"]
        diversity = relative_diversity(self.gan.sample(self._latents), self._real_distance)
        return {
            "images_seen": self.gan.images_seen,
            **figures,
            **norms,
            "diversity": diversity,
            "collapsed": float(self._judge(diversity)),
            "images_per_second": clock.images_per_second(self.gan.images_seen),
        }

    def _judge(self, diversity: float) -> bool:
        images_seen = [int(row["images_seen"]) for row in self.history]
        diversities = [row["diversity"] for row in self.history]
        threshold = self.config.collapse_diversity
        collapsed = has_collapsed([*images_seen, self.gan.images_seen], [*diversities, diversity], threshold)
        if collapsed and not (self.history and self.history[-1]["collapsed"]):
            _logger.warning(
                "The generator has collapsed: after %d images its samples have %.2f of the real images' diversity, "
                "less than collapse_diversity=%s. The training goes on.",
                self.gan.images_seen,
                diversity,
                threshold,
            )
        return collapsed

    def _save(self) -> None:
        state = self.gan.state()
        self._check_finite({name: _worst(array) for name, array in state.items()})
        self._checkpoints.write(self.gan.images_seen, {**state, "history": np.array(json.dumps(self.history))})

    def _check_finite(self, values: Mapping[str, float]) -> None:
        failure = self.gan.failure()
        if failure is None:
            failure = next(((self.gan.images_seen, n, v) for n, v in values.items() if not np.isfinite(v)), None)
        if failure is not None:
            images_seen, name, value = failure
            raise Diverged(
                f"Losses and weights must stay finite; try a lower learning_rate. Received: {name}={value} at step "
                f"{images_seen // self.gan.images_per_step} ({images_seen} images). The last good checkpoint: "
                f"{self._checkpoints.last_good() or 'none'}"
            )


class _Clock:
    """Measures the rate from the first step of this process on, so that compiling is not counted."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def start(self, images_seen: int) -> None:
        """Starts the clock, if it does not run yet."""
        self._since = self._since or (time.monotonic(), images_seen)

    def images_per_second(self, images_seen: int) -> float:
        """The rate since the last call; 0 if there was no step to measure."""
        now = time.monotonic()
        since, before = self._since or (now, images_seen)
        self._since = (now, images_seen)
        return (images_seen - before) / (now - since) if images_seen > before else 0.0


def _worst(array: NDArray[np.generic]) -> float:
    """A value of `array` that is not finite; 0 if all are."""
    bad = array[~np.isfinite(array)] if np.issubdtype(array.dtype, np.inexact) else np.empty(0)
    return float(bad.flat[0]) if bad.size else 0.0

"""Saves samples of a training at chosen moments and excludes the time for it from the training's time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.representation import to_arrays
from gan_core.sampling import draw_labels, draw_latents

Draw = Callable[[NDArray[np.float32], NDArray[np.int32]], NDArray[np.float32]]
"""Latents [B, latent_size] and labels [B] → images [B, H, W, C] in [−1, 1]."""

_BATCH_SIZE = 500


class Recorder:
    """Saves `count` samples as uint8 at each of the given moments.

    The clock starts after the first steps, which include compilation, and stops while samples are drawn.
    The latents, and a conditional generator's labels, are the same at every moment.

    Args:
        folder: gets `<seconds>.npy`, uint8 [count, H, W, C].
        moments: seconds of training, ascending; the training ends at the last.
        count: samples at each moment.
        latent_size: numbers in a latent.
        classes: number of classes, from which the labels are drawn evenly.
        seed: seed of the latents and labels.
        compiling_steps: number of first steps that do not count.

    Attributes:
        rows: for each moment, `moment` and the actual `seconds` and `images_seen`.
        failure: the fault of the samples, or empty.
    """

    def __init__(
        self,
        folder: Path,
        moments: Sequence[float],
        *,
        count: int,
        latent_size: int,
        classes: int,
        seed: int,
        compiling_steps: int = 1,
    ) -> None:
        self.rows: list[dict[str, float]] = []
        self.failure = ""
        self._folder = folder
        self._ahead = list(moments)
        self._latents = draw_latents(count, latent_size, seed)
        self._labels = draw_labels(count, [1 / classes] * classes, seed)
        self._compiling_steps = compiling_steps
        self._steps = 0
        self._since = 0.0

    @property
    def finished(self) -> bool:
        """Whether the training should end."""
        return not self._ahead or bool(self.failure)

    def after_step(self, images_seen: int, draw: Draw) -> None:
        """Draws samples if the next moment has been reached."""
        self._steps += 1
        now = time.perf_counter()
        if self._steps <= self._compiling_steps:
            self._since = now
        elif not self.finished and now - self._since >= self._ahead[0]:
            self._save(now - self._since, images_seen, draw)
            self._since += time.perf_counter() - now

    def _save(self, seconds: float, images_seen: int, draw: Draw) -> None:
        reached = [moment for moment in self._ahead if moment <= seconds]
        self._ahead = self._ahead[len(reached) :]
        starts = range(0, len(self._latents), _BATCH_SIZE)
        batches = [slice(start, start + _BATCH_SIZE) for start in starts]
        images = np.concatenate([draw(self._latents[rows], self._labels[rows]) for rows in batches])
        if not np.isfinite(images).all():
            self.failure = f"samples that are not finite after {seconds:.0f} s"
            return
        np.save(self._folder / f"{reached[-1]:g}.npy", to_arrays(images, symbols=0), allow_pickle=False)
        self.rows.append({"moment": reached[-1], "seconds": seconds, "images_seen": images_seen})
        print(f"  {reached[-1]:g} s: {images_seen} images, {images_seen / seconds:.0f} a second", flush=True)

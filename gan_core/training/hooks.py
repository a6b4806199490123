"""Callbacks of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, float]


class Hooks(Protocol):
    """Callbacks of the training loop.

    >>> class Losses(NoHooks):
    ...     def on_row(self, row):
    ...         print(sorted(name for name in row if name.startswith("losses/")))
    >>> hooks: Hooks = Losses()
    >>> hooks.on_row(training.history[-1])
    ['losses/discriminator', 'losses/generator']
    """

    def on_step(self, images_seen: int) -> None:
        """Called after every step, or after several steps made in one call."""

    def on_row(self, row: Row) -> None:
        """Called after every `log_every_images`, every score and at the end, with means since the last row.

        Called again at the end if the last row was added before its score.
        """

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Called at the start and after every `samples_every_images` with the result of `FixedSamples.grid`."""

    @property
    def stop_requested(self) -> Callable[[], bool]:
        """A function that says whether to write a checkpoint and stop."""


class NoHooks:
    """Hooks that do nothing; a base class for hooks that need only some of the callbacks.

    >>> NoHooks().stop_requested()
    False
    """

    def on_step(self, images_seen: int) -> None:
        """Does nothing."""

    def on_row(self, row: Row) -> None:
        """Does nothing."""

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Does nothing."""

    def stop_requested(self) -> bool:
        """Returns False: the training runs to its end."""
        return False

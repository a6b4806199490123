"""Connects a training to the progress display and to tracking."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gan_core.metric_names import DISCRIMINATOR_LOSS, DIVERSITY, GENERATOR_LOSS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.cli.progress import Progress
    from components.tracking.tracker import TrainingTracker
    from gan_core.data.prepared import PreparedDataset
    from gan_core.training.hooks import Row
    from gan_core.training.loop import Training


class Hooks:
    """Shows the progress of a training, and tracks its rows and samples."""

    def __init__(
        self,
        training: Training,
        bar: Progress,
        tracker: TrainingTracker,
        stop_requested: Callable[[], bool],
        dataset: PreparedDataset,
    ) -> None:
        from gan_core.codecs import codec_of

        self.stop_requested = stop_requested
        self._codec = codec_of(dataset.manifest)
        self._bar = bar
        self._columns = training.samples.columns
        self._names = [one.name for one in dataset.manifest.classes] if training.gan.classes else []
        self._tracker = tracker
        self._images_seen = training.gan.images_seen
        self._losses: dict[str, float] = {}
        for row in training.history:
            self.on_row(row)

    def on_step(self, images_seen: int) -> None:
        """Advances the progress bar."""
        self._bar.advance(images_seen - self._images_seen, **self._losses)
        self._images_seen = images_seen
        self._losses = {}

    def on_row(self, row: Row) -> None:
        """Tracks a row."""
        self._losses = {name: row[name] for name in (GENERATOR_LOSS, DISCRIMINATOR_LOSS, DIVERSITY)}
        figures = {name: value for name, value in row.items() if name != "images_seen"}
        self._tracker.log_row(int(row["images_seen"]), figures)

    def on_samples(self, images_seen: int, images: NDArray[np.uint8]) -> None:
        """Tracks a grid of samples, and the sounds of its first column."""
        self._tracker.log_image(images_seen, "samples", self._codec.grid(images, self._columns, names=self._names))
        self._tracker.log_sounds(images_seen, "samples", self._codec.sounds(images[:: self._columns]))

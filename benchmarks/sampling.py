"""The speed of sampling, which train_step.py shows: an exported generator, and its network alone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.generator_metadata import generator_metadata
from gan_core.export import load_generator, save_generator
from gan_core.sampling import draw_latents

if TYPE_CHECKING:
    from gan_core.training.state import Gan

_BATCH = 256


class Sampling:
    """Draws images from an exported generator, and from its network alone."""

    def __init__(self, gan: Gan) -> None:
        """Exports the averaged generator of `gan`."""
        import tensorflow as tf

        metadata = generator_metadata(gan.config.latent_size, gan.shape, gan.classes)
        with tempfile.TemporaryDirectory() as folder:
            save_generator(Path(folder) / "generator", gan.averaged_generator, metadata)
            self._exported = load_generator(Path(folder) / "generator")
        latents = tf.constant(draw_latents(_BATCH, gan.config.latent_size, 0))
        labels = tf.zeros(_BATCH, tf.int32)
        self._arguments: Any = [latents, labels] if gan.classes else latents
        self._bare = tf.function(lambda arguments: gan.averaged_generator(arguments, training=False))
        self.exported(_BATCH)
        self.bare(_BATCH)

    def exported(self, count: int) -> float:
        """Returns images per second as uint8, including the drawing of latents."""
        started = time.perf_counter()
        for _ in self._exported.batches(count, 0, batch_size=_BATCH):
            pass
        return count / (time.perf_counter() - started)

    def bare(self, count: int) -> float:
        """Returns images per second as float32 from the compiled network, always from the same latents."""
        started = time.perf_counter()
        for _ in range(count // _BATCH):
            self._bare(self._arguments).numpy()
        return count // _BATCH * _BATCH / (time.perf_counter() - started)

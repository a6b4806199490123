"""In which order real images are shown."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class EpochOrder:
    """Endless positions of `count` images: one permutation after another, each a pure function of (seed, epoch).

    Batches run on across epochs, so any batch size goes with any number of images.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed
        # A batch seldom touches more than two epochs.
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def positions(self, start: int, count: int) -> NDArray[np.int64]:
        """The positions of the images number `start` to `start` + `count` − 1 of the training, int64 [count]."""
        epochs, offsets = np.divmod(np.arange(start, start + count), self._count)
        return np.concatenate([self._permutation(int(e))[offsets[epochs == e]] for e in np.unique(epochs)])

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.Generator(np.random.Philox(key=(self._seed, epoch))).permutation(self._count)

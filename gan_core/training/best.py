"""Keeps the generator with the best score so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gan_core.training.checkpoints import State
from gan_core.training.state import Gan


class BestGenerator:
    """The averaged generator's weights at its best score, which is the lowest.

    Attributes:
        scored_at: images seen at the last score; 0 before the first.
    """

    def __init__(self) -> None:
        self._score = np.inf
        self._images_seen = 0
        self.scored_at = 0
        self._weights: list[NDArray[np.float32]] = []

    def record(self, gan: Gan, scores: Mapping[str, float]) -> dict[str, float]:
        """Copies the weights if the first of `scores` is the lowest so far; returns the chief's scores on all hosts."""
        from_chief = gan.distribution.from_chief({name: np.array(value) for name, value in scores.items()})
        agreed = {name: float(value) for name, value in (from_chief or {}).items()}
        score = next(iter(agreed.values()))
        self.scored_at = gan.images_seen
        if score < self._score:
            self._score, self._images_seen = score, gan.images_seen
            self._weights = [np.array(weight) for weight in gan.averaged_generator.get_weights()]
        return agreed

    def is_stale(self, patience_images: int) -> bool:
        """Whether the score has not improved for `patience_images`; always False if that is 0."""
        return 0 < patience_images <= self.scored_at - self._images_seen

    def load_into(self, gan: Gan) -> int:
        """Sets the averaged generator to the best weights, if there are any; returns the images seen at that moment."""
        if not self._weights:
            return gan.images_seen
        gan.averaged_generator.set_weights(self._weights)
        return self._images_seen

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the whole state by name."""
        counters = np.array([self._images_seen, self.scored_at], np.int64)
        weights = {f"best/{index}": weight for index, weight in enumerate(self._weights)}
        return {"best_score": np.array(self._score), "best_counters": counters, **weights}

    def restore(self, state: State) -> None:
        """Sets the whole state to one that `state` returned."""
        self._score = float(state["best_score"])
        self._images_seen, self.scored_at = (int(count) for count in state["best_counters"])
        self._weights = [state[f"best/{index}"] for index in range(sum(name.startswith("best/") for name in state))]

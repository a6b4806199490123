"""Detects values that are not finite, mode collapse, and a discriminator that is too strong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gan_core.config import TrainConfig
from gan_core.metric_names import COLLAPSED, DISCRIMINATOR_ACCURACY, DISCRIMINATOR_WINNING, DIVERSITY
from gan_core.training.diversity import has_collapsed, relative_diversity

if TYPE_CHECKING:
    from gan_core.training.checkpoints import Checkpoints
    from gan_core.training.state import Gan

_ROWS = 2
_logger = logging.getLogger(__name__)


class Diverged(Exception):
    """A loss or a weight is no longer finite. The message names the value, the step and the last good checkpoint.

    >>> state = gan.state()
    >>> gan.restore(state | {"generator/0": state["generator/0"] * np.nan})
    >>> Training(gan, RealBatches(images, config), checkpoints=None).run()
    Traceback (most recent call last):
    gan_core.training.guards.Diverged: Losses and weights must stay finite; ... Received: generator/0=nan at step 10 ...
    >>> gan.restore(state)
    """


def require_finite(gan: Gan, values: Mapping[str, ArrayLike], checkpoints: Checkpoints | None) -> None:
    """Checks the losses since the last call, and the weights or norms in `values`.

    Raises:
        Diverged: one of them is not finite.
    """
    failure = gan.metrics.failure()
    if failure is None:
        worst = ((name, _worst(np.asarray(value))) for name, value in values.items())
        failure = next(((gan.images_seen, name, value) for name, value in worst if not np.isfinite(value)), None)
    if failure is not None:
        images_seen, name, value = failure
        last_good = checkpoints.last_good() if checkpoints else None
        raise Diverged(
            f"Losses and weights must stay finite; try a lower learning_rate. Received: {name}={value} at step "
            f"{images_seen // gan.images_per_step} ({images_seen} examples). The last good checkpoint: "
            f"{last_good or 'none'}."
        )


def _worst(array: NDArray[np.generic]) -> float:
    """Returns a value of `array` that is not finite; 0 if all are finite."""
    bad = array[~np.isfinite(array)] if np.issubdtype(array.dtype, np.inexact) else np.empty(0)
    return float(bad.flat[0]) if bad.size else 0.0


class Guards:
    """Checks each row of a training, and warns once when something begins to go wrong.

    Args:
        config: parameters of the training.
        real_distance: mean distance of two real images; if `labels` are given, of two of the same class.
        labels: classes of the samples, [N], for a conditional GAN, else None. Samples are compared within a class,
            because each class may collapse while the classes still differ from each other.
    """

    def __init__(self, config: TrainConfig, real_distance: float, labels: NDArray[np.integer] | None = None) -> None:
        self._config = config
        self._real_distance = real_distance
        self._labels = labels

    def judge(
        self,
        images_seen: int,
        samples: NDArray[np.floating],
        figures: Mapping[str, float],
        history: Sequence[Mapping[str, float]],
    ) -> dict[str, float]:
        """Returns the row's DIVERSITY, and COLLAPSED and DISCRIMINATOR_WINNING as 0 or 1.

        Args:
            images_seen: real images seen so far.
            samples: images of the averaged generator, [N, H, W, C].
            figures: means over the steps since the last row.
            history: the earlier rows.
        """
        diversity = relative_diversity(samples, self._real_distance, self._labels)
        seen = [int(row["images_seen"]) for row in history]
        diversities = [row[DIVERSITY] for row in history]
        collapsed = has_collapsed([*seen, images_seen], [*diversities, diversity], self._config.collapse_diversity)
        accuracies = [*(row[DISCRIMINATOR_ACCURACY] for row in history), figures[DISCRIMINATOR_ACCURACY]][-_ROWS:]
        winning = len(accuracies) == _ROWS and min(accuracies) > self._config.winning_accuracy
        if collapsed and not (history and history[-1][COLLAPSED]):
            _logger.warning(
                "The generator has collapsed: after %d examples its samples have %.2f of the real examples' diversity, "
                "less than collapse_diversity=%s. The training continues.",
                images_seen,
                diversity,
                self._config.collapse_diversity,
            )
        if winning and not (history and history[-1][DISCRIMINATOR_WINNING]):
            _logger.warning(
                "The discriminator is winning: after %d examples it classifies %.1f %% of the examples correctly, more "
                "than winning_accuracy=%s, so the generator may stop learning. The training continues. Augmentation, a "
                "penalty or a lower discriminator_learning_rate_factor may help.",
                images_seen,
                100 * accuracies[-1],
                self._config.winning_accuracy,
            )
        return {
            DIVERSITY: diversity,
            COLLAPSED: float(collapsed),
            DISCRIMINATOR_WINNING: float(winning),
        }

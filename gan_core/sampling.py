"""Random inputs of a generator, latents and labels. Both are pure functions of a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput


def draw_latents(count: int, latent_size: int, seed: int, truncation: float = 1.0) -> NDArray[np.float32]:
    """Draws latents z ~ ψ·N(0, I), float32 [count, latent_size], from a counter-based generator keyed by `seed`.

    `truncation` ψ scales the latents towards their mean, which is 0. ψ = 1 is the distribution used in training. A
    smaller ψ gives more typical and less varied images (Karras et al. 2019, arXiv 1812.04948, section B).

    Raises:
        InvalidInput: `count` or `latent_size` is below 1, or `seed` below 0.

    >>> draw_latents(2, generator.metadata.latent_size, seed=0).shape
    (2, 8)
    """
    return np.concatenate(list(latent_batches(count, latent_size, seed, truncation, count)))


def latent_batches(
    count: int, latent_size: int, seed: int, truncation: float, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    """Yields the rows of `draw_latents`, at most `batch_size` at a time."""
    _require_at_least(1, count=count, latent_size=latent_size, batch_size=batch_size)
    _require_at_least(0, seed=seed)
    generator = np.random.Generator(np.random.Philox(key=seed))
    for start in range(0, count, batch_size):
        rows = min(batch_size, count - start)
        yield truncation * generator.standard_normal((rows, latent_size), dtype=np.float32)


def draw_labels(count: int, shares: Sequence[float], seed: int) -> NDArray[np.int32]:
    """Draws labels with the probabilities `shares`, int32 [count], from a counter-based generator keyed by `seed`."""
    _require_at_least(1, count=count)
    _require_at_least(0, seed=seed)
    draws = np.random.Generator(np.random.Philox(key=(seed, 1))).random(count)
    bounds = np.cumsum(shares)[:-1]
    return np.searchsorted(bounds, draws, side="right").astype(np.int32)


def _require_at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise InvalidInput(f"The argument '{name}' of a draw must be at least {least}. Received: {name}={number}")

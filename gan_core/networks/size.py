"""Limits the size of the networks before they are built."""

from __future__ import annotations

import math

from gan_core.config import TrainConfig
from gan_core.errors import InvalidInput

MOST_PARAMETERS = 10**9
"""Maximum number of parameters of one network: 16 GB including the optimiser's two moments and the averaged weights."""
MOST_BYTES = 2**37
"""Maximum size of one network's feature maps for one part of a batch, on all devices together: 137 GB."""


def require_trainable(config: TrainConfig, shape: tuple[int, int, int]) -> None:
    """Checks that widths, growth, depth, latent size and batch size keep both networks within the limits.

    Both numbers are estimates. A network has 24·depth·c² + p·c·latents parameters, where c is the number of channels
    of the widest layer, and p the number of pixels of the smallest map: 16 for a square. A block has two 3 × 3
    convolutions, and each finer resolution has a quarter of the parameters.
    The feature maps count as 8 maps of the finest resolution for each block.

    Raises:
        InvalidInput: a number is above its limit.
    """
    if config.automatic:
        raise InvalidInput(
            "The parameters of a GAN must have values: replace auto with `with_recipe(config, …)`. Received: "
            f"{', '.join(f'train.{name}=auto' for name in config.automatic)}"
        )
    shorter, longer = sorted(shape[:2])
    factor = min(config.growth, 2 ** max(0, math.ceil(math.log2(shorter / 4))))
    base_pixels = longer if shorter == 1 else 16 * longer // shorter  # the network of texts does not halve them
    for name in ("generator_width", "discriminator_width"):
        width = getattr(config, name)
        widest = width * factor
        parameters = 24 * config.depth * widest**2 + base_pixels * widest * config.latent_size
        features = 4 * 8 * config.depth * width * shorter * longer * config.batch_size // config.accumulation_steps
        for what, value, most, names in (
            ("parameters", parameters, MOST_PARAMETERS, (name, "growth", "depth", "latent_size")),
            ("bytes of features", features, MOST_BYTES, (name, "depth", "batch_size", "accumulation_steps")),
        ):
            if value > most:
                received = ", ".join(f"{key}={getattr(config, key)}" for key in names)
                raise InvalidInput(
                    f"A network may have at most about {most:.3g} {what}. "
                    f"Received: about {value:.3g} with {received} at {shape[0]} × {shape[1]} pixels"
                )

"""Compares an exported generator with the Keras generator: the same latents, for every class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.exporting.formats import Run
from gan_core.errors import InvalidInput
from gan_core.generator import GeneratorMetadata
from gan_core.representation import to_network
from gan_core.sampling import draw_latents

TOLERANCE = 1e-3
"""Largest allowed difference of a value: an eighth of one of 256 levels, or a thousandth of the probability 1."""
_SEED = 0
_LATENTS_A_CLASS = 4
_FEWEST_LATENTS = 16
_BATCH_SIZE = 16


def compare(model: Any, run: Run, rows: int | None, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns the number of latents, their seed, the largest difference and the tolerance.

    Args:
        model: the generator's Keras model.
        run: the exported model.
        rows: number of latents that `run` takes; None if it takes any number.
        arrays: the inputs, from `example_inputs`.

    Raises:
        InvalidInput: a difference is above the tolerance, or a value is not a number.
    """
    count, differences = len(arrays["latents"]), []
    for start in range(0, count, _BATCH_SIZE):
        batch = {name: array[start : start + _BATCH_SIZE] for name, array in arrays.items()}
        values = [*batch.values()]
        expected = np.asarray(model(values if len(values) > 1 else values[0], training=False))
        parts = [slice(row, row + (rows or _BATCH_SIZE)) for row in range(0, len(expected), rows or _BATCH_SIZE)]
        found = [run({name: array[part] for name, array in batch.items()}) for part in parts]
        differences.append(np.abs(np.concatenate(found) - expected).max())
    largest = float(np.max(differences))
    if not largest <= TOLERANCE:
        raise InvalidInput(
            f"The exported model must give the values of the Keras generator up to {TOLERANCE:g}. Received: a "
            f"difference of {largest:g} in {count} latents"
        )
    return {"latents": count, "seed": _SEED, "largest_difference": largest, "tolerance": TOLERANCE}


def example_inputs(metadata: GeneratorMetadata) -> dict[str, NDArray[Any]]:
    """Returns the inputs of a generator's network by name, in its order.

    They are latents [N, latent_size] float32, and labels [N] int32 of a conditional generator or inputs [N, H, W, C]
    float32 of a paired one. Each class has four latents; there are at least 16. The input images are noise.
    """
    classes = len(metadata.classes)
    count = max(_FEWEST_LATENTS, _LATENTS_A_CLASS * classes)
    arrays: dict[str, NDArray[Any]] = {"latents": draw_latents(count, metadata.latent_size, _SEED)}
    if classes:
        arrays["labels"] = np.arange(count, dtype=np.int32) % classes
    if metadata.paired:
        random = np.random.Generator(np.random.Philox(key=(_SEED, 1)))
        arrays["inputs"] = to_network(random.integers(0, 256, (count, *metadata.shape), np.uint8), 0)
    return arrays

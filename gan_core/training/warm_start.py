"""Saves a training's networks to a file, and starts another training from it instead of from random weights."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.output_files import STATE_FILE

if TYPE_CHECKING:
    from gan_core.training.checkpoints import State
    from gan_core.training.state import Gan

_NETWORKS = ("generator/", "averaged_generator/", "discriminator/")
_RULE = "A warm start needs the state of networks with the same parameters: see train.warm_start"
# The parameters that can change the arrays of the networks.
_PARAMETERS = (
    *("network", "normalization", "latent_size", "generator_width", "discriminator_width", "growth", "depth"),
    "conditional",
)
_HEADER_BYTES = 1024  # the most that an array's header takes in the file


def save_networks(folder: Path, gan: Gan) -> None:
    """Writes the weights of the three networks into the folder of the generator.

    The averaged generator alone does not suffice for a warm start: an untrained discriminator would ruin it.
    """
    np.savez(folder / STATE_FILE, allow_pickle=False, **_networks(gan.state()))


def start_from(gan: Gan, content: bytes, name: str, parameters: Mapping[str, str] = MappingProxyType({})) -> None:
    """Sets the weights of the three networks to those in `content`, the file that `save_networks` wrote.

    Counters, optimisers and schedules stay in their initial state.

    Args:
        gan: the training's initial state.
        content: the file that `save_networks` wrote.
        name: name of the other training, for messages.
        parameters: the other training's parameters as text, by names such as `train.depth`, for messages.

    Raises:
        InvalidInput: `content` is not such a file, or its networks have other arrays.
    """
    state = gan.state()
    try:
        networks = _read(content, _networks(state), name)
    except InvalidInput:
        own = {f"train.{key}": str(getattr(gan.config, key)) for key in _PARAMETERS}
        differing = [
            f"{key}={parameters[key]}, not {own[key]}" for key in own if parameters.get(key, own[key]) != own[key]
        ]
        if not differing:
            raise
        raise InvalidInput(f"{_RULE}. Received: {name} with {'; '.join(differing)}") from None
    gan.restore({**state, **networks})


def _networks(state: State) -> dict[str, NDArray[Any]]:
    return {key: array for key, array in state.items() if key.startswith(_NETWORKS)}


def _read(content: bytes, own: State, name: str) -> State:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        if sizes.keys() != own.keys():
            odd = min(sizes.keys() ^ own.keys())
            raise InvalidInput(
                f"{_RULE}. Received: {name} with {len(sizes)} arrays, not {len(own)}; only one has {odd}"
            )
        for key, array in own.items():
            # Check the sizes before reading: a small file may unpack to any size.
            if sizes[key] > array.nbytes + _HEADER_BYTES:
                raise InvalidInput(f"{_RULE}. Received: {name}, where {key} is larger than {array.shape}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{_RULE}: {error}. Received: {name}") from None
    for key, array in own.items():
        if found[key].shape != array.shape or found[key].dtype != array.dtype:
            raise InvalidInput(
                f"{_RULE}. Received: {name}, where {key} is {found[key].dtype} {found[key].shape}, "
                f"not {array.dtype} {array.shape}"
            )
        if not np.isfinite(found[key]).all():
            raise InvalidInput(f"{_RULE}. Received: {name}, where {key} is not finite")
    return found

"""Saves a training's networks to a file, and starts another training from it instead of from random weights.

The file of networks for texts also holds the alphabet, because these networks know symbols by their position in it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.codecs.text import MOST_SYMBOLS, TextCodec
from gan_core.errors import InvalidInput
from gan_core.output_files import STATE_FILE
from gan_core.printing import printable

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
_ALPHABET = "alphabet"
_HEADER_BYTES = 1024  # the most that an array's header takes in the file


def save_networks(folder: Path, gan: Gan, codec: Codec | None = None) -> None:
    """Writes the weights of the three networks into the folder of the generator.

    The averaged generator alone does not suffice for a warm start: an untrained discriminator would ruin it.

    Args:
        folder: the folder of the generator.
        gan: the training's final state.
        codec: the codec of the data; None for images.
    """
    np.savez(folder / STATE_FILE, allow_pickle=False, **_networks(gan.state(), codec))


def start_from(
    gan: Gan,
    content: bytes,
    name: str,
    parameters: Mapping[str, str] = MappingProxyType({}),
    codec: Codec | None = None,
) -> None:
    """Sets the weights of the three networks to those in `content`, the file that `save_networks` wrote.

    Counters, optimisers and schedules stay in their initial state.

    Args:
        gan: the training's initial state.
        content: the file that `save_networks` wrote.
        name: name of the other training, for messages.
        parameters: the other training's parameters as text, by names such as `train.depth`, for messages.
        codec: the codec of the data; None for images.

    Raises:
        InvalidInput: `content` is not such a file, or its networks have other arrays or are for another alphabet.
    """
    state = gan.state()
    try:
        networks = _read(content, _networks(state, codec), name)
    except InvalidInput:
        own = {f"train.{key}": str(getattr(gan.config, key)) for key in _PARAMETERS}
        differing = [
            f"{key}={parameters[key]}, not {own[key]}" for key in own if parameters.get(key, own[key]) != own[key]
        ]
        if not differing:
            raise
        raise InvalidInput(f"{_RULE}. Received: {name} with {'; '.join(differing)}") from None
    gan.restore({**state, **networks})


def _networks(state: State, codec: Codec | None) -> dict[str, NDArray[Any]]:
    """Returns the networks' arrays and, for texts, the alphabet's code points, followed by zeros."""
    networks = {key: array for key, array in state.items() if key.startswith(_NETWORKS)}
    if not isinstance(codec, TextCodec):
        return networks
    points = np.zeros(MOST_SYMBOLS, np.uint32)
    points[: len(codec.alphabet)] = [ord(symbol) for symbol in codec.alphabet]
    return {_ALPHABET: points, **networks}


def _read(content: bytes, own: State, name: str) -> State:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        if sizes.keys() != own.keys():
            odd = min(sizes.keys() ^ own.keys())
            raise InvalidInput(
                f"{_RULE}. Received: {name} with {len(sizes)} arrays, not {len(own)}; only one has {odd}"
            )
        found = {}
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            for key, array in own.items():
                # Check the size before reading: a small file may unpack to any size.
                if sizes[key] > array.nbytes + _HEADER_BYTES:
                    raise InvalidInput(f"{_RULE}. Received: {name}, where {key} is larger than {array.shape}")
                found[key] = _checked(arrays[key], array, key, name)
    except (OSError, ValueError, OverflowError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{_RULE}: {error}. Received: {name}") from None
    return found


def _checked(found: NDArray[Any], own: NDArray[Any], key: str, name: str) -> NDArray[Any]:
    """Returns the array `found` after checking that it can replace `own`."""
    if found.shape != own.shape or found.dtype != own.dtype:
        raise InvalidInput(
            f"{_RULE}. Received: {name}, where {key} is {found.dtype} {found.shape}, not {own.dtype} {own.shape}"
        )
    if not np.isfinite(found).all():
        raise InvalidInput(f"{_RULE}. Received: {name}, where {key} is not finite")
    if key == _ALPHABET and not np.array_equal(found, own):
        extra, missing = (
            printable(" ".join(map(chr, np.setdiff1d(one, [0, *other])))) or "nothing"
            for one, other in ((found, own), (own, found))
        )
        raise InvalidInput(
            "A warm start needs the state of networks for texts of the same alphabet, because networks know a symbol "
            f"by its number. Received: {name}, whose alphabet also has {extra} and lacks {missing}"
        )
    return found

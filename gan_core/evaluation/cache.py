"""Caches arrays that are costly to compute, under a key made of everything that determines them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.digests import json_digest
from gan_core.staging import whole_file

Arrays = dict[str, NDArray[Any]]
_CHECKSUM = "checksum_of_all"


def digest_of(parts: Mapping[str, object]) -> str:
    """Returns `sha256-<hex>` of the parts as canonical JSON."""
    return f"sha256-{json_digest(parts)}"


def cached(folder: Path, parts: Mapping[str, object], compute: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays cached in `folder` for `parts`, or computes and caches them.

    The cache key is the digest of everything that determines the content. The file appears whole, so several processes
    may write it at once. A damaged or altered file is computed again and replaced. If the folder cannot be written, the
    arrays are returned uncached.
    """
    path = folder / f"{digest_of(parts)}.npz"
    try:
        return _read(path)
    # A damaged file can make the readers of zip archives and arrays raise nearly anything.
    except Exception:
        arrays = compute()
    with contextlib.suppress(OSError), whole_file(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, **{_CHECKSUM: np.asarray(_checksum(arrays))})
    return arrays


def _read(path: Path) -> Arrays:
    """Returns the arrays that `cached` wrote; raises any exception if the file holds anything else."""
    if not path.is_file():
        raise FileNotFoundError(path)
    # If np.load opens a damaged file itself, it leaves the file open.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
        arrays = dict(kept)
    if str(arrays.pop(_CHECKSUM)) != _checksum(arrays):
        raise ValueError("other content than was written")
    return arrays


def _checksum(arrays: Arrays) -> str:
    """Returns the SHA-256 of names, types, shapes and content."""
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"{name} {array.dtype.str} {np.shape(arrays[name])}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()

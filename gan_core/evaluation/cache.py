"""Arrays that are costly to compute, kept by what determines them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def digest_of(parts: Mapping[str, object]) -> str:
    """`sha256-<hex>` of the parts as canonical JSON."""
    return f"sha256-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def file_digest(path: Path) -> str:
    """`sha256-<hex>` of a file's content."""
    with path.open("rb") as stream:
        return f"sha256-{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def cached(folder: Path, parts: Mapping[str, object], compute: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays kept in `folder` for `parts`, or computes and keeps them.

    The file is named by the digest of everything that determines its content and appears whole, so runs may race for
    it. A damaged file is computed anew. A folder that cannot be written costs time only.
    """
    path = folder / f"{digest_of(parts)}.npz"
    try:
        # np.load leaves a damaged file open that it opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        arrays = compute()
    with contextlib.suppress(OSError):
        _write_whole(path, arrays)
    return arrays


def _write_whole(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".npz", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise

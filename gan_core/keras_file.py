"""Checks the content of a Keras model file before Keras reads it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

_WEIGHTS = "model.weights.h5"
_MEMBERS = {"config.json", "metadata.json", _WEIGHTS}


def check_keras_file(path: Path) -> None:
    """Refuses a Keras file that would expand when it is read, or that has members other than a generator's.

    Uncompressed members cannot be larger than the file. But HDF5 inside them can declare an array of any size as
    compressed or never written, and can repeat one text of variable length many times in an array.

    Raises:
        Exception: it is such a file, or not a Keras file; HDF5's reader raises nearly anything.
    """
    import h5py  # type: ignore[import-untyped]

    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise zipfile.BadZipFile("its members are compressed, which Keras never does")
        if odd := set(archive.namelist()) ^ _MEMBERS:
            raise zipfile.BadZipFile(
                f"its members must be {', '.join(sorted(_MEMBERS))}, not also or without {min(odd)}"
            )
        content = archive.read(_WEIGHTS)
    sizes: list[int] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.dtype.hasobject:
                raise ValueError(f"its array {name} holds no numbers")
            sizes.append(item.nbytes)

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(add)
    if sum(sizes) > len(content):
        raise ValueError(f"its arrays say that they have {sum(sizes)} bytes, in a file of {len(content)}")

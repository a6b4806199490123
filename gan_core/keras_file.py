"""Checks the content of a Keras model file before Keras reads it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

_WEIGHTS = "model.weights.h5"
_MEMBERS = {"config.json", "metadata.json", _WEIGHTS}


def check_keras_file(path: Path) -> None:
    """Checks that a Keras file has a generator's members, and that it is not a decompression bomb.

    An uncompressed member is never larger than the file. But HDF5 can declare an array of any size that is compressed
    or was never written, and it can repeat one string of variable length many times in an array.

    Raises:
        Exception: the file is refused. HDF5's reader can raise nearly any exception.
    """
    import h5py  # type: ignore[import-untyped]

    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise zipfile.BadZipFile("its members must be stored uncompressed, as Keras writes them")
        if odd := set(archive.namelist()) ^ _MEMBERS:
            raise zipfile.BadZipFile(
                f"its members must be {', '.join(sorted(_MEMBERS))}, but {min(odd)} is missing or unknown"
            )
        content = archive.read(_WEIGHTS)
    sizes: list[int] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.dtype.hasobject:
                raise ValueError(f"its array {name} must hold numbers")
            sizes.append(item.nbytes)

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(add)
    if sum(sizes) > len(content):
        raise ValueError(f"its arrays declare {sum(sizes)} bytes, more than the file's {len(content)}")

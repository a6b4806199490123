"""Fashion-MNIST. The test split is part of this package; both splits come from Debian's package or a download.

Reference: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.client
import lzma
import math
import os
import shutil
import struct
import urllib.request
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.deadline import within
from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import remove_abandoned, workplace

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
ADDRESS = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
_COUNTS = {"train": 60_000, "t10k": 10_000}
# SHA-256 of the decoded images followed by the labels, so that the files' compression does not matter.
_SHA256 = {
    "train": "16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157",
    "t10k": "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
}
_LARGEST_FILE_BYTES = 2**26
_PREFIX = ".downloading-"
_TIMEOUT_SECONDS = 60
_DOWNLOAD_WITHIN_SECONDS = 900

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def embedded() -> Labelled:
    """Returns the test split: images uint8 [10000, 28, 28] and labels uint8 [10000]."""
    return _read_part(_EMBEDDED_FOLDER, "t10k", ".xz")


def both_splits(debian_folder: Path = DEBIAN_FOLDER, address: str = ADDRESS, cache: Path | None = None) -> Labelled:
    """Returns both splits: images uint8 [70000, 28, 28] and labels uint8 [70000].

    Args:
        debian_folder: folder of Debian's package dataset-fashion-mnist; used if it exists.
        address: otherwise, the files are downloaded once from below this address.
        cache: folder in which to keep the download; None for the user's cache folder.

    Raises:
        InvalidInput: the files in Debian's folder are not those of Fashion-MNIST.
        TryAgain: the download failed.
    """
    if debian_folder.is_dir():
        return _read(debian_folder)
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"
    kept = cache / "fashion-mnist"
    if kept.is_dir():
        try:
            return _read(kept)
        except InvalidInput:  # a damaged copy is downloaded again
            shutil.rmtree(kept, ignore_errors=True)
    return _download(address, kept)


def _read(folder: Path) -> Labelled:
    train, test = _read_part(folder, "train", ".gz"), _read_part(folder, "t10k", ".gz")
    return np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])


def _read_part(folder: Path, part: str, suffix: str) -> Labelled:
    count = _COUNTS[part]
    try:
        images = _read_idx(folder / f"{part}-images-idx3-ubyte{suffix}", (count, 28, 28))
        labels = _read_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", (count,))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InvalidInput(f"The folder must contain the files of Fashion-MNIST: {error}. Received: {folder}") from None
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if digest != _SHA256[part]:
        raise InvalidInput(
            f"The '{part}' images of Fashion-MNIST must decode to SHA-256 {_SHA256[part]}. "
            f"Received: {folder} with {digest}"
        )
    return images, labels


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Reads an idx file of bytes, whose header must give the expected shape."""
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    size = len(header) + math.prod(shape)
    with lzma.open(path) if path.suffix == ".xz" else gzip.open(path) as stream:
        content = stream.read(size + 1)
    if len(content) != size or not content.startswith(header):
        raise ValueError(f"{path.name} is not an idx file of shape {shape}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _read_address(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        content: bytes = response.read(_LARGEST_FILE_BYTES)
        return content


def _download(address: str, kept: Path) -> Labelled:
    """Downloads the files into the folder `kept`, which appears only after they have been verified."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(kept.parent, _PREFIX)
    try:
        with workplace(kept.parent, _PREFIX) as place:
            files = place / kept.name
            files.mkdir()
            for name in [f"{part}-{kind}-ubyte.gz" for part in _COUNTS for kind in ("images-idx3", "labels-idx1")]:
                content = within(_DOWNLOAD_WITHIN_SECONDS, functools.partial(_read_address, f"{address}/{name}"))
                (files / name).write_bytes(content)
            images_and_labels = _read(files)
            if not kept.exists():  # another process may have been faster
                os.rename(files, kept)
            return images_and_labels
    except (InvalidInput, http.client.HTTPException, OSError) as error:
        raise TryAgain(
            f"Fashion-MNIST could not be downloaded: {error}. Install Debian's package dataset-fashion-mnist, or allow "
            f"access to the address, and run the same command again. Received: {address}"
        ) from None

"""Finds, verifies and reads the weights of the 2015-12-05 Inception network."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.deadline import within
from gan_core.digests import file_digest
from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.extractors.torch_file import read_torch_file
from gan_core.staging import whole_file
from gan_core.untrusted_files import require_regular
from gan_core.url_guard import open_public

PUBLISHED_ADDRESS = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
LARGEST_FILE_BYTES = 2**28
TIMEOUT_SECONDS = 60
DOWNLOAD_WITHIN_SECONDS = 1800


@dataclass(frozen=True)
class InceptionWeights:
    """Verified weights.

    Attributes:
        digest: `sha256-<hex>` of the file they came from.
        tensors: float32 tensors, by the names of pytorch-fid's modules.
    """

    digest: str
    tensors: dict[str, NDArray[np.float32]]


def load_weights(place: str, cache: Path) -> InceptionWeights:
    """Reads the weights after verifying the file's SHA-256.

    Args:
        place: a file or an https address; empty for the published address. It may end in `#sha256=<hex>`, the expected
            digest; by default, the published file's digest is expected.
        cache: folder that keeps a downloaded file.

    Raises:
        InvalidInput: there is no such file, its digest differs, or it does not hold weights in PyTorch's format.
        TryAgain: the download failed.
    """
    location, fragment, expected = (place or PUBLISHED_ADDRESS).partition("#sha256=")
    expected = expected if fragment else PUBLISHED_SHA256
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise InvalidInput(f"A digest is 64 lower-case hexadecimal digits after #sha256=. Received: {place}")
    if location.endswith((".pb", ".tgz", ".tar.gz")):
        raise InvalidInput(
            f"The original TensorFlow graph is not read; pytorch-fid's file holds the same weights. {_HOW_TO_PROVIDE} "
            f"Received: evaluate.inception_weights={place!r}"
        )
    path = _download(location, expected, cache) if "://" in location else Path(location)
    content = _read(path, place)
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise InvalidInput(
            f"The weight file's SHA-256 must be {expected}; for another file, append #sha256=<hex> to its path. "
            f"{_HOW_TO_PROVIDE} Received: {path} with SHA-256 {digest}"
        )
    return InceptionWeights(f"sha256-{digest}", read_torch_file(content, path.name))


_HOW_TO_PROVIDE = (
    f"Fetch {PUBLISHED_ADDRESS} (95,628,359 bytes, SHA-256 {PUBLISHED_SHA256}) on any machine and set "
    f"evaluate.inception_weights to the file."
)


def _read(path: Path, place: str) -> bytes:
    try:
        if (size := require_regular(path)) > LARGEST_FILE_BYTES:
            raise InvalidInput(f"A weight file has at most {LARGEST_FILE_BYTES} bytes. Received: {path} of {size}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"The Inception weights must be a readable file: {error.strerror}. {_HOW_TO_PROVIDE} "
            f"Received: evaluate.inception_weights={place!r}"
        ) from None


def _read_address(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "gan-pipeline"})  # noqa: S310, https only
    with open_public(request, TIMEOUT_SECONDS) as response:
        content: bytes = response.read(LARGEST_FILE_BYTES + 1)
        return content


def _download(address: str, sha256: str, cache: Path) -> Path:
    """Downloads the file into the cache, unless it is already there; it appears whole, and only with this digest."""
    if not address.startswith("https://"):
        raise InvalidInput(f"The address of the weights must begin with https://. Received: {address}")
    target = cache / f"{sha256}-{address.rsplit('/', 1)[1]}"
    if target.is_file() and _has_digest(target, sha256):
        return target
    try:
        content = within(DOWNLOAD_WITHIN_SECONDS, lambda: _read_address(address))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if target.is_file():  # damaged, which the caller reports
            return target
        raise TryAgain(
            f"The Inception weights could not be downloaded: {error}. {_HOW_TO_PROVIDE} Received: {address}"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise TryAgain(
            f"What was downloaded is not the expected file: SHA-256 {digest}, not {sha256}. {_HOW_TO_PROVIDE} "
            f"Received: {address}"
        )
    with whole_file(target) as unfinished:
        unfinished.write_bytes(content)
    return target


def _has_digest(path: Path, sha256: str) -> bool:
    """Whether a cached file has the digest; a damaged one is downloaded again."""
    try:
        return file_digest(path) == sha256
    except OSError:
        return False

"""Finds, verifies and reads the published weights of an extractor's network."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
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

LARGEST_FILE_BYTES = 2**31
TIMEOUT_SECONDS = 60
DOWNLOAD_WITHIN_SECONDS = 1800


@dataclass(frozen=True)
class PublishedFile:
    """A published weight file of PyTorch.

    Attributes:
        network: name of the network, for messages.
        parameter: the parameter that names another place of the file.
        address: where it was published.
        size: its size in words.
        sha256: its digest, 64 hexadecimal digits.
        original: how the names of the network's original files end; these hold the same weights and are not read.
    """

    network: str
    parameter: str
    address: str
    size: str
    sha256: str
    original: tuple[str, ...]

    @property
    def how_to_provide(self) -> str:
        """A sentence that says where the file is and how to name it."""
        return (
            f"Fetch {self.address} ({self.size}, SHA-256 {self.sha256}) on any machine and set {self.parameter} to the "
            "file."
        )


INCEPTION = PublishedFile(
    network="Inception",
    parameter="evaluate.inception_weights",
    address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    size="95,628,359 bytes",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    original=(".pb", ".tgz", ".tar.gz"),
)
VGGISH = PublishedFile(
    network="VGGish",
    parameter="evaluate.vggish_weights",
    address="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    size="about 289 MB",
    sha256="10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
    original=(".ckpt", ".h5", ".tgz", ".tar.gz"),
)
DINOV2 = PublishedFile(
    network="DINOv2",
    parameter="evaluate.dinov2_weights",
    address="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    size="1,217,586,395 bytes",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    original=(),
)


@dataclass(frozen=True)
class Weights:
    """Verified weights.

    Attributes:
        digest: `sha256-<hex>` of the file they came from.
        tensors: float32 tensors, by the names of the file.
    """

    digest: str
    tensors: dict[str, NDArray[np.float32]]

    def name(self, extractor: str, published: PublishedFile) -> str:
        """Returns the extractor's name in scores, which says so if the file is not the published one."""
        return extractor if self.digest == f"sha256-{published.sha256}" else f"{extractor}_unverified"


def load_weights(published: PublishedFile, place: str, cache: Path) -> Weights:
    """Reads the weights after verifying the file's SHA-256.

    Args:
        published: the file that is expected by default.
        place: a file or an https address; empty for the published address. It may end in `#sha256=<hex>`, the expected
            digest; by default, the published file's digest is expected.
        cache: folder that keeps a downloaded file.

    Raises:
        InvalidInput: there is no such file, its digest differs, or it does not hold weights in PyTorch's format.
        TryAgain: the download failed.
    """
    location, fragment, expected = (place or published.address).partition("#sha256=")
    expected = expected if fragment else published.sha256
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise InvalidInput(f"A digest is 64 lower-case hexadecimal digits after #sha256=. Received: {place}")
    if location.endswith(published.original):
        raise InvalidInput(
            f"The original TensorFlow file is not read; PyTorch's file holds the same weights. "
            f"{published.how_to_provide} Received: {published.parameter}={place!r}"
        )
    path = _download(published, location, expected, cache) if "://" in location else Path(location)
    content = _read(published, path, place)
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise InvalidInput(
            f"The weight file's SHA-256 must be {expected}; for another file, append #sha256=<hex> to its path. "
            f"{published.how_to_provide} Received: {path} with SHA-256 {digest}"
        )
    return Weights(f"sha256-{digest}", read_torch_file(content, path.name))


def require_tensors(
    tensors: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]], network: str
) -> None:
    """Checks that a file holds exactly the tensors that a network needs.

    Args:
        tensors: the tensors by name.
        shapes: the shapes that the network needs, by name.
        network: the network's name, for the message.

    Raises:
        InvalidInput: a tensor is missing, unexpected, of another shape, or not finite.
    """
    wrong = sorted(set(shapes) ^ set(tensors))
    wrong += [name for name, shape in shapes.items() if name in tensors and tensors[name].shape != shape]
    wrong += [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if wrong:
        raise InvalidInput(
            f"The weights must be those of {network}: {len(shapes)} finite tensors of its shapes. "
            f"Received: {len(tensors)} tensors, wrong or missing: {', '.join(wrong[:3])}"
        )


def _read(published: PublishedFile, path: Path, place: str) -> bytes:
    try:
        if (size := require_regular(path)) > LARGEST_FILE_BYTES:
            raise InvalidInput(f"A weight file has at most {LARGEST_FILE_BYTES} bytes. Received: {path} of {size}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"The {published.network} weights must be a readable file: {error.strerror}. {published.how_to_provide} "
            f"Received: {published.parameter}={place!r}"
        ) from None


def _read_address(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "gan-pipeline"})  # noqa: S310, https only
    with open_public(request, TIMEOUT_SECONDS) as response:
        content: bytes = response.read(LARGEST_FILE_BYTES + 1)
        return content


def _download(published: PublishedFile, address: str, sha256: str, cache: Path) -> Path:
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
            f"The {published.network} weights could not be downloaded: {error}. {published.how_to_provide} "
            f"Received: {address}"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise TryAgain(
            f"What was downloaded is not the expected file: SHA-256 {digest}, not {sha256}. "
            f"{published.how_to_provide} Received: {address}"
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

"""Images in a folder or a zip archive, each at its own size. Nothing of an archive is ever written to the disk."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gan_core.data.decode import FORMATS, UnreadableImage, decode_whole
from gan_core.errors import InvalidInput

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
LARGEST_FILE_BYTES = 2**28
LARGEST_IMAGE_MEGAPIXELS = 80.0


class FileImages:
    """The images below a folder or in a .zip, in a random order that their paths decide.

    In order of their paths they would come class by class where classes are folders, and some scores take the first
    images, or cut them into parts.

    Attributes:
        count: number of images.
        digest: `sha256-<hex>` of the files' contents in order.

    Raises:
        InvalidInput: there is no such folder or archive, it holds no image, or a file is unreasonably large.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: Callable[[str], bytes]
        if path.is_dir():
            names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
            self._read = self._read_file
        else:
            names = self._open_archive()
            self._read = self._read_member
        found = sorted(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)
        if not found:
            raise InvalidInput(f"There must be at least one image ({', '.join(sorted(SUFFIXES))}). Received: {path}")
        self._names = [found[position] for position in np.random.default_rng(0).permutation(len(found))]
        self.count = len(self._names)
        digests = hashlib.sha256()
        for name in self._names:
            digests.update(hashlib.sha256(self._read(name)).digest())
        self.digest = f"sha256-{digests.hexdigest()}"

    def batches(self, batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """All images in order, uint8 [≤ batch_size, H, W, C]; a batch ends where the size changes."""
        batch: list[NDArray[np.uint8]] = []
        for name in self._names:
            image = self._decode(name)
            if batch and (len(batch) == batch_size or batch[0].shape != image.shape):
                yield np.stack(batch)
                batch = []
            batch.append(image)
        yield np.stack(batch)

    def images(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The images at `positions`, uint8 [H, W, C] each."""
        return [self._decode(self._names[position]) for position in positions]

    def _open_archive(self) -> list[str]:
        try:
            self._archive = zipfile.ZipFile(self._path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InvalidInput(
                f"Images to evaluate are a prepared data set, a generator, or a folder or .zip of images: {error}. "
                f"Received: {self._path}"
            ) from None
        return self._archive.namelist()

    def _read_file(self, name: str) -> bytes:
        if not (self._path / name).resolve().is_relative_to(self._path.resolve()):
            raise InvalidInput(f"A link must stay in the folder of the images. Received: {self._path}, {name}")
        with (self._path / name).open("rb") as stream:
            return self._whole(name, stream.read(LARGEST_FILE_BYTES + 1))

    def _read_member(self, name: str) -> bytes:
        # The size an archive declares may be a lie, so what comes out is counted.
        try:
            with self._archive.open(name) as stream:
                return self._whole(name, stream.read(LARGEST_FILE_BYTES + 1))
        except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise InvalidInput(f"The archive cannot be read: {error}. Received: {self._path}, {name}") from None

    def _whole(self, name: str, content: bytes) -> bytes:
        if len(content) > LARGEST_FILE_BYTES:
            raise InvalidInput(f"An image file has at most {LARGEST_FILE_BYTES} bytes. Received: {self._path}, {name}")
        return content

    def _decode(self, name: str) -> NDArray[np.uint8]:
        from PIL import Image

        content = io.BytesIO(self._read(name))
        try:
            return decode_whole(lambda: Image.open(content, formats=FORMATS), LARGEST_IMAGE_MEGAPIXELS)
        except UnreadableImage as error:
            raise InvalidInput(f"An image must be readable: {error}. Received: {self._path}, {name}") from None

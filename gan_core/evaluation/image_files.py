"""Images in a folder or a zip archive, each at its own size. An archive is never unpacked to disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import operator
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.data.archives.zips import zip_members
from gan_core.data.decode import SUFFIXES, decode_whole, open_image, require_image
from gan_core.data.folders import LARGEST_FILE_BYTES, has_suffix, read_below, scan
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable

LARGEST_IMAGE_MEGAPIXELS = 80.0
BATCH_BYTES = 2**26
"""Maximum size of the decoded images in a batch; a larger image is a batch of its own."""


class FileImages:
    """The images below a folder or in a .zip, in an order that is shuffled but depends only on their paths.

    The shuffling matters because some scores use only the first images or cut them into parts, and images sorted by
    path would be grouped by class if each class has a folder. Hidden files are skipped, as in `prepare`.

    Attributes:
        count: number of images.
        digest: `sha256-<hex>` of the files' contents in order.

    Raises:
        InvalidInput: there is no such folder or archive, it holds no image, or a file's header is not that of an image
            of a reasonable size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        entries = sorted(self._in_folder() if path.is_dir() else self._in_archive(), key=operator.itemgetter(0))
        if not entries:
            raise InvalidInput(f"There must be at least one image ({', '.join(sorted(SUFFIXES))}). Received: {path}")
        self._images = [entries[index] for index in np.random.default_rng(0).permutation(len(entries))]
        self.count = len(self._images)
        digests = hashlib.sha256()
        for name, read in self._images:
            with self._named(name):
                content = read()
                require_image(content, LARGEST_IMAGE_MEGAPIXELS)
            digests.update(hashlib.sha256(content).digest())
        self.digest = f"sha256-{digests.hexdigest()}"

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yields the images [start, stop), of which there is at least one, in order, uint8 [≤ batch_size, H, W, C].

        A batch also ends when the image size changes or BATCH_BYTES is reached, so the memory use does not grow with
        the size of the photos.
        """
        batch: list[NDArray[np.uint8]] = []
        for name, read in self._images[start:stop]:
            image = self._decode(name, read)
            most = min(batch_size, max(1, BATCH_BYTES // image.nbytes))
            if batch and (len(batch) >= most or batch[0].shape != image.shape):
                yield _stacked(batch)
                batch = []
            batch.append(image)
        yield _stacked(batch)

    def images(self, indices: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """Yields the images at `indices` one by one, uint8 [H, W, C]."""
        for index in indices:
            yield self._decode(*self._images[index])

    def _in_folder(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yields the names below the folder, each with a function that reads the file."""
        root, folders = self._path.resolve(), [self._path]
        while folders:
            for entry in scan(folders.pop(), SUFFIXES):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif has_suffix(entry.name, SUFFIXES):
                    yield path.relative_to(self._path).as_posix(), functools.partial(read_below, root, path)

    def _in_archive(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yields the names in the archive, each with a function that reads the member."""
        rule = "The images of an evaluation must be a prepared data set, a generator, or a folder or .zip of images"
        if not self._path.is_file():
            raise InvalidInput(f"{rule}: there is no such file or folder. Received: {self._path}")
        for member in zip_members(self._path, rule):
            if has_suffix(member.name, SUFFIXES) and not member.is_ignored:
                yield member.name, functools.partial(member.read, LARGEST_FILE_BYTES)

    @contextlib.contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except UnreadableItem as error:
            raise InvalidInput(
                f"An image must be readable: {error}. Received: {self._path}, {printable(name)}"
            ) from None

    def _decode(self, name: str, read: Callable[[], bytes]) -> NDArray[np.uint8]:
        with self._named(name):
            content = read()
            return decode_whole(lambda: open_image(content), LARGEST_IMAGE_MEGAPIXELS)


def _stacked(batch: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Like numpy.stack, but does not copy a single image."""
    return batch[0][None] if len(batch) == 1 else np.stack(batch)

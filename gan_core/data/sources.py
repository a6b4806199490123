"""Sources of raw images: a built-in data set, or a folder."""

from __future__ import annotations

import functools
import logging
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.data import fashion_mnist
from gan_core.data.decode import open_image
from gan_core.data.folders import SUFFIXES, is_image_name, read_below, scan
from gan_core.data.manifest import first_names
from gan_core.errors import InvalidInput
from gan_core.printing import printable

if TYPE_CHECKING:
    from PIL import Image

BUILT_IN = ("embedded", "fashion-mnist", "digits")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawImage:
    """One image that has not been decoded.

    Attributes:
        path: its path below the source.
        label: index of its class in the source's `classes`; −1 without classes.
        open: opens the image; `decode` turns its exceptions into UnreadableImage.
    """

    path: str
    label: int
    open: Callable[[], Image.Image]


class Source(Protocol):
    """A source of raw images.

    Attributes:
        classes: class names in label order; empty without labels.
        count: number of images.
    """

    classes: Sequence[str]
    count: int

    def __iter__(self) -> Iterator[RawImage]:
        """Yields the images in any order, without opening them."""


def open_source(name: str) -> Source:
    """Opens `embedded`, `fashion-mnist`, `digits`, or the folder of that name.

    Raises:
        InvalidInput: there is no such source, or the folder's layout is invalid.
        TryAgain: the source must be downloaded, and that failed.

    >>> source = open_source("embedded")
    >>> source.count, source.classes[8]
    (10000, 'Bag')
    """
    if name == "embedded":
        return _Arrays(*fashion_mnist.embedded(), fashion_mnist.CLASSES)
    if name == "fashion-mnist":
        return _Arrays(*fashion_mnist.both_splits(), fashion_mnist.CLASSES)
    if name == "digits":
        return _digits()
    return _Folder(name)


class _Arrays:
    """Grey images in memory, uint8 [N, H, W], and their labels [N]."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.integer], classes: Sequence[str]) -> None:
        self.classes = classes
        self.count = len(images)
        self._images, self._labels = images, labels

    def __iter__(self) -> Iterator[RawImage]:
        from PIL import Image

        for index, (image, label) in enumerate(zip(self._images, self._labels, strict=True)):
            yield RawImage(str(index), int(label), functools.partial(Image.fromarray, image))


def _digits() -> Source:
    """Opens scikit-learn's 1,797 handwritten digits of 8 × 8 pixels and scales their levels 0..16 to 0..255."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    levels = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return _Arrays(levels, labels, [str(digit) for digit in range(10)])


class _Folder:
    """A folder of images, or a folder with one subfolder for each class. Hidden files are skipped.

    The folder is listed twice, the first time only to count, so that the paths need not stay in memory.
    """

    def __init__(self, name: str) -> None:
        folder = Path(name)
        if not folder.is_dir():
            raise InvalidInput(
                "The parameter 'prepare.source' must be embedded, fashion-mnist, digits or an existing folder. Unpack "
                f"archives first. Received: source={name!r}"
            )
        self._folder = folder
        self._place = f"source={str(folder)!r}"
        folders: dict[str, str] = {}  # the folder's name on disk, by class
        counts: dict[str, int] = {}
        loose = others = 0
        for entry in scan(folder):
            if not entry.is_dir(follow_symlinks=False):
                loose += is_image_name(entry.name)
                others += not is_image_name(entry.name)
                continue
            class_name = _class_name(entry.name)
            if class_name in folders:
                raise InvalidInput(
                    f"Two folders must not have the same class name. Received: {self._place} with {entry.name!a} and "
                    f"{folders[class_name]!a}, both {class_name}"
                )
            members = [is_image_name(member.name) for member in self._members(entry)]
            folders[class_name], counts[class_name] = entry.name, sum(members)
            others += len(members) - sum(members)
        if others:
            suffixes, place = ", ".join(sorted(SUFFIXES)), printable(str(folder))
            _logger.info("Ignored %d files without the suffixes %s in %s", others, suffixes, place)
        self.classes: Sequence[str] = sorted(folders)
        self.count = loose + sum(counts.values())
        self._require_valid_layout(loose, others, [name for name in self.classes if not counts[name]])

    def __iter__(self) -> Iterator[RawImage]:
        label_of = {name: label for label, name in enumerate(self.classes)}
        root = self._folder.resolve()
        for entry in scan(self._folder):
            label = label_of[_class_name(entry.name)] if entry.is_dir(follow_symlinks=False) else -1
            for member in [entry] if label < 0 else self._members(entry):
                if is_image_name(member.name):
                    path = Path(member.path)
                    relative = printable(str(path.relative_to(self._folder)))
                    yield RawImage(relative, label, functools.partial(_open_below, root, path))

    def _members(self, class_folder: os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
        for member in scan(Path(class_folder.path)):
            if member.is_dir(follow_symlinks=False):
                raise InvalidInput(
                    "The folder of a class must contain images and no folders. If "
                    f"{printable(class_folder.path)} contains the classes, use it as the source. Received: "
                    f"{self._place} with {printable(member.path)}"
                )
            yield member

    def _require_valid_layout(self, loose: int, others: int, empty: Sequence[str]) -> None:
        suffixes = ", ".join(sorted(SUFFIXES))
        if not self.count:
            raise InvalidInput(
                f"The folder must contain images ({suffixes}). Received: {self._place} with {others} other files"
            )
        if loose and self.classes:
            raise InvalidInput(
                "A folder must contain either images or one folder for each class, not both. Received: "
                f"{self._place} with {loose} images and the folders {first_names(self.classes)}"
            )
        if empty:
            raise InvalidInput(
                f"The folder of each class must contain an image ({suffixes}). Received: {self._place} with "
                f"{len(empty)} that contain none: {first_names(empty)}"
            )


def _open_below(root: Path, path: Path) -> Image.Image:
    return open_image(read_below(root, path))


def _class_name(folder: str) -> str:
    """Returns the class name of a folder, normalised because macOS writes é as two characters, other systems as one."""
    return unicodedata.normalize("NFC", printable(folder))

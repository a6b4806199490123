"""Where raw images come from: a built-in data set, or a folder."""

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
from gan_core.data.decode import UnreadableImage, open_file
from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from PIL import Image

BUILT_IN = ("embedded", "fashion-mnist", "digits")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawImage:
    """One image that has not been decoded.

    Attributes:
        path: its place below the source.
        label: its class's position in the source's `classes`; −1 without classes.
        open: opens it, or raises what `decode` turns into a reason.
    """

    path: str
    label: int
    open: Callable[[], Image.Image]


class Source(Protocol):
    """Raw images.

    Attributes:
        classes: names in order of label; empty without labels.
        count: number of images.
    """

    classes: Sequence[str]
    count: int

    def __iter__(self) -> Iterator[RawImage]:
        """The images in any order, each looked up when it is asked for."""


def open_source(name: str) -> Source:
    """Opens `embedded`, `fashion-mnist`, `digits`, or the folder of that name.

    Raises:
        InvalidInput: there is no such source, or the folder's layout is not understood.
        TryAgain: the source must be downloaded, and that failed.
    """
    if name == "embedded":
        return _Arrays(*fashion_mnist.embedded(), fashion_mnist.CLASSES)
    if name == "fashion-mnist":
        return _Arrays(*fashion_mnist.whole(), fashion_mnist.CLASSES)
    if name == "digits":
        return _digits()
    return _Folder(Path(name))


class _Arrays:
    """Grey images in memory, uint8 [N, H, W], and their labels [N]."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.integer], classes: Sequence[str]) -> None:
        self.classes = classes
        self.count = len(images)
        self._images, self._labels = images, labels

    def __iter__(self) -> Iterator[RawImage]:
        from PIL import Image

        for position, (image, label) in enumerate(zip(self._images, self._labels, strict=True)):
            yield RawImage(str(position), int(label), functools.partial(Image.fromarray, image))


def _digits() -> Source:
    """scikit-learn's 1,797 handwritten digits of 8 × 8 pixels; their levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    levels = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return _Arrays(levels, labels, [str(digit) for digit in range(10)])


class _Folder:
    """A folder of images, or of one folder for each class. Hidden files are passed over.

    It is read twice, first to count, so that the paths need not be held in memory.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InvalidInput(
                "The parameter 'source' must be embedded, fashion-mnist, digits or an existing folder. "
                f"Received: source={str(folder)!r}"
            )
        self.classes: Sequence[str] = ()
        self._folder = folder
        self.count = loose = others = 0
        classes = set()
        for entry, class_name in self._entries():
            if not _is_candidate(entry):
                others += 1
                continue
            self.count += 1
            if class_name is None:
                loose += not os.path.isdir(entry.path)
            else:
                classes.add(class_name)
        if others:
            _logger.info("Passed over %d files not named %s in %s", others, ", ".join(sorted(SUFFIXES)), folder)
        if not self.count:
            raise InvalidInput(
                f"The folder must hold images ({', '.join(sorted(SUFFIXES))}). Received: source={str(folder)!r} with "
                f"{others} other files"
            )
        if loose and classes:
            raise InvalidInput(
                "A folder must hold either images or one folder for each class, not both. Received: "
                f"source={str(folder)!r} with {loose} images beside the folders {', '.join(sorted(classes)[:5])}"
            )
        self.classes = sorted(classes)

    def __iter__(self) -> Iterator[RawImage]:
        label_of = {name: label for label, name in enumerate(self.classes)}
        root = self._folder.resolve()
        for entry, class_name in self._entries():
            if _is_candidate(entry):
                path = Path(entry.path)
                relative = _readable(str(path.relative_to(self._folder)))
                yield RawImage(relative, label_of.get(class_name or "", -1), functools.partial(_open_below, root, path))

    def _entries(self) -> Iterator[tuple[os.DirEntry[str], str | None]]:
        """Every file, and the name of its class; a link to a folder counts as a file."""
        for entry in _scan(self._folder):
            if not entry.is_dir(follow_symlinks=False):
                yield entry, None
                continue
            class_name = unicodedata.normalize("NFC", _readable(entry.name))
            for member in _scan(Path(entry.path)):
                if member.is_dir(follow_symlinks=False):
                    raise InvalidInput(
                        "The folder of a class must hold images and no folders. Received: "
                        f"source={str(self._folder)!r} with {_readable(member.path)}"
                    )
                yield member, class_name


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise InvalidInput(f"A folder of images must be readable: {error.strerror}. Received: {folder}") from None


def _is_candidate(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES or os.path.isdir(entry.path)


def _open_below(root: Path, path: Path) -> Image.Image:
    if not path.resolve().is_relative_to(root):
        raise UnreadableImage("a symbolic link that leads out of the source folder")
    return open_file(path)


def _readable(name: str) -> str:
    """The name with bytes that are no UTF-8 replaced, so that it can be written to a manifest."""
    return os.fsencode(name).decode("utf-8", "replace")

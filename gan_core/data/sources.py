"""Sources of raw data: items in memory, or a folder of files."""

from __future__ import annotations

import functools
import logging
import unicodedata
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.data.class_folders import members_of, unwrapped
from gan_core.data.folders import has_suffix, read_below, scan
from gan_core.data.manifest import first_names
from gan_core.errors import InvalidInput
from gan_core.printing import printable

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawItem:
    """One item that has not been decoded.

    Attributes:
        path: its path below the source.
        label: index of its class in the source's `classes`; −1 without classes.
        open: opens the item; the modality's `decode` turns its exceptions into UnreadableItem.
    """

    path: str
    label: int
    open: Callable[[], Any]


class Source(Protocol):
    """A source of raw data.

    Attributes:
        modality: the name of its modality.
        classes: class names in label order; empty without labels.
        count: number of items.
    """

    modality: str
    classes: Sequence[str]
    count: int

    def __iter__(self) -> Iterator[RawItem]:
        """Yields the items in any order, without opening them."""


class GreyImages:
    """Grey images in memory, uint8 [N, H, W], and their labels [N]."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.integer], classes: Sequence[str]) -> None:
        self.modality = "image"
        self.classes = classes
        self.count = len(images)
        self._images, self._labels = images, labels

    def __iter__(self) -> Iterator[RawItem]:
        from PIL import Image

        for index, (image, label) in enumerate(zip(self._images, self._labels, strict=True)):
            yield RawItem(str(index), int(label), functools.partial(Image.fromarray, image))


class Folder:
    """A folder of files, one for each item, or a folder with one subfolder for each class. Hidden files are skipped.

    The folder is listed twice, the first time only to count, so that the paths need not stay in memory.

    Attributes:
        wrapper: the path of the folder with the files or the classes, below the source; see `unwrapped`.

    Args:
        folder: the folder.
        modality: name of the modality.
        item: what messages call an item; an s is added for several.
        suffixes: suffixes of the items' files; other files are ignored.
        read: opens an item from the content of its file.

    Raises:
        InvalidInput: it is not a folder, or its layout is invalid.
    """

    def __init__(
        self, folder: Path, modality: str, item: str, suffixes: Set[str], read: Callable[[bytes], Any]
    ) -> None:
        if not folder.is_dir():
            raise InvalidInput(
                f"The parameter 'prepare.source' must name a folder of {item}s. Received: source={str(folder)!r}"
            )
        self.modality = modality
        self._item, self._suffixes, self._read = item, suffixes, read
        self._source, self._folder = folder, unwrapped(folder, suffixes)
        self.wrapper = self._folder.relative_to(folder)
        self._place = f"source={str(self._folder)!r}"
        folders: dict[str, str] = {}  # the folder's name on disk, by class
        counts: dict[str, int] = {}
        loose = others = 0
        for entry in scan(self._folder, suffixes):
            if not entry.is_dir(follow_symlinks=False):
                loose += has_suffix(entry.name, suffixes)
                others += not has_suffix(entry.name, suffixes)
                continue
            name = class_name(entry.name)
            if name in folders:
                raise InvalidInput(
                    f"Two folders must not have the same class name. Received: {self._place} with {entry.name!a} and "
                    f"{folders[name]!a}, both {name}"
                )
            members = [has_suffix(member.name, suffixes) for member in members_of(Path(entry.path), suffixes)]
            folders[name], counts[name] = entry.name, sum(members)
            others += len(members) - sum(members)
        if others:
            place = printable(str(self._folder))
            _logger.info("Ignored %d files without the suffixes %s in %s", others, self._listed_suffixes, place)
        self.classes: Sequence[str] = sorted(folders)
        self.count = loose + sum(counts.values())
        self._require_valid_layout(loose, others, [name for name in self.classes if not counts[name]])

    def __iter__(self) -> Iterator[RawItem]:
        label_of = {name: label for label, name in enumerate(self.classes)}
        root = self._folder.resolve()
        for entry in scan(self._folder, self._suffixes):
            label = label_of[class_name(entry.name)] if entry.is_dir(follow_symlinks=False) else -1
            for member in [entry] if label < 0 else members_of(Path(entry.path), self._suffixes):
                if has_suffix(member.name, self._suffixes):
                    path = Path(member.path)
                    relative = printable(str(path.relative_to(self._source)))
                    yield RawItem(relative, label, functools.partial(_open, root, path, self._read))

    @property
    def _listed_suffixes(self) -> str:
        return ", ".join(sorted(self._suffixes))

    def _require_valid_layout(self, loose: int, others: int, empty: Sequence[str]) -> None:
        if not self.count:
            raise InvalidInput(
                f"The folder must contain {self._item}s ({self._listed_suffixes}). Received: {self._place} with "
                f"{others} other files"
            )
        if loose and self.classes:
            raise InvalidInput(
                f"A folder must contain either {self._item}s or one folder for each class, not both. Received: "
                f"{self._place} with {loose} {self._item}s and the folders {first_names(self.classes)}"
            )
        if empty:
            raise InvalidInput(
                f"The folder of each class must contain at least one {self._item} ({self._listed_suffixes}). Received: "
                f"{self._place} with "
                f"{len(empty)} that contain none: {first_names(empty)}"
            )


def class_name(folder: str) -> str:
    """Returns the class name of a folder, normalised because macOS writes é as two characters, other systems as one."""
    return unicodedata.normalize("NFC", printable(folder))


def _open(root: Path, path: Path, read: Callable[[bytes], Any]) -> Any:
    return read(read_below(root, path))

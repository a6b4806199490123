"""Texts: files with one text in a line, and the built-in names."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.text import MOST_SYMBOLS, TextCodec
from gan_core.config import TextSettings
from gan_core.data.archives.label_files import require_no_label
from gan_core.data.archives.source import Survey, members_of
from gan_core.data.folders import has_suffix, scan
from gan_core.data.manifest import first_names
from gan_core.data.sources import RawItem, class_name
from gan_core.data.texts import LARGEST_FILE_BYTES, NAMES_CLASSES, names, read_text, read_texts, texts_in
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.modalities.modality import Modality
from gan_core.printing import character_name, printable

SUFFIXES = frozenset({".txt"})
_RAREST_NAMED = 5
_CODE_POINT = np.dtype("<u4")


class Texts:
    """Texts in memory, a list for each class; a single list has no class.

    Args:
        texts: the lists.
        classes: the names of their classes.
        places: what messages call each list.
    """

    modality = "text"

    def __init__(self, texts: Sequence[Sequence[str]], classes: Sequence[str], places: Sequence[str]) -> None:
        self.classes = classes if len(classes) > 1 else ()
        self.count = sum(map(len, texts))
        self._texts, self._places = texts, places

    def __iter__(self) -> Iterator[RawItem]:
        """Yields the texts."""
        for label, (texts, place) in enumerate(zip(self._texts, self._places, strict=True)):
            for number, text in enumerate(texts, start=1):
                opener = functools.partial(str, text)
                yield RawItem(f"{place}, text {number}", label if self.classes else -1, opener)


class Text(Modality[TextSettings]):
    """Texts; the decoded item is the code points of the text, followed by zeros."""

    item = TextCodec.item
    settings = TextSettings
    suffixes = SUFFIXES
    companion = True
    read = staticmethod(read_text)

    def __init__(self) -> None:
        self.built_in = {"names": lambda: Texts(names(), NAMES_CLASSES, NAMES_CLASSES)}

    def open(self, path: Path) -> Texts:
        """Opens a file of texts, or a folder of such files, each of which is a class."""
        files = [path]
        if path.is_dir():
            entries = list(scan(path, SUFFIXES))
            folders = sorted(printable(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))
            if folders:
                raise InvalidInput(
                    "A folder of texts must contain files, each of which is a class, and no folders. Received: "
                    f"source={str(path)!r} with {folders[0]}"
                )
            files = [Path(entry.path) for entry in entries if has_suffix(entry.name, SUFFIXES)]
        return _of_files([(file.name, read_texts(file)) for file in files], f"source={str(path)!r}")

    def open_archives(self, found: Survey, name: str) -> Texts:
        """Opens archives of files of texts, each of which is a class."""
        del name
        require_no_label(found.label)
        texts = {}
        for member in itertools.chain.from_iterable(map(members_of, found.files)):
            if has_suffix(member.name, SUFFIXES):
                if member.parts[-1] in texts:
                    raise InvalidInput(
                        "Two files of texts in archives must not have the same name. Received: "
                        f"{found.place} with {printable(member.parts[-1])}"
                    )
                try:
                    content = member.read(LARGEST_FILE_BYTES)
                except UnreadableItem as error:
                    raise InvalidInput(
                        f"A file of texts must be readable: {error}. Received: {found.place}, {printable(member.name)}"
                    ) from None
                texts[member.parts[-1]] = texts_in(content, f"{found.place}, {printable(member.name)}")
        return _of_files(list(texts.items()), found.place)

    def decoded(self, settings: TextSettings) -> tuple[tuple[int, ...], DTypeLike]:
        """Returns the largest length of a text, and uint32."""
        return (settings.max_length,), _CODE_POINT

    def decode(self, opener: Callable[[], Any], settings: TextSettings) -> NDArray[np.uint32]:
        """Returns the code points of a text."""
        text = opener()
        if len(text) > settings.max_length:
            raise UnreadableItem(f"{len(text)} symbols, more than prepare.text.max_length={settings.max_length}")
        points = np.zeros(settings.max_length, _CODE_POINT)
        points[: len(text)] = [ord(symbol) for symbol in text]
        return points

    def fit(self, train: Iterable[NDArray[Any]], held_out: Iterable[NDArray[Any]], settings: TextSettings) -> TextCodec:
        """Returns the codec with the alphabet and the largest length of both splits."""
        del settings
        texts_with: Counter[int] = Counter()
        length = 1
        for points in (points for split in (train, held_out) for points in split):
            used = points[points > 0].tolist()
            texts_with.update(set(used))
            length = max(length, len(used))
        alphabet = "".join(map(chr, sorted(texts_with)))
        if len(alphabet) > MOST_SYMBOLS:
            rarest = sorted(texts_with, key=lambda point: (texts_with[point], point))[:_RAREST_NAMED]
            named = ", ".join(f"{character_name(chr(point))} in {texts_with[point]:,}" for point in rarest)
            raise InvalidInput(
                f"The texts of a source may use at most {MOST_SYMBOLS} different symbols. Leave out texts with rare "
                f"ones. Received: {len(alphabet):,} symbols. The rarest, with the number of texts: {named}"
            )
        return TextCodec(shape=(length, 1, 1), alphabet=alphabet)


def _of_files(texts: Sequence[tuple[str, Sequence[str]]], place: str) -> Texts:
    """Returns the texts of files, each of which has a name and is a class."""
    empty = [printable(name) for name, found in texts if not found]
    if not texts or empty:
        raise InvalidInput(
            f"The source must be a file of texts ({', '.join(SUFFIXES)}) or a folder of such files, and each must "
            f"contain a text. Received: {place} with " + (f"the empty file {empty[0]}" if empty else "no such file")
        )
    named = sorted((class_name(name), found) for name, found in texts)
    names = [name for name, _ in named]
    classes = [os.path.splitext(name)[0] for name in names]
    if twice := [name for name, count in Counter(classes).items() if count > 1]:
        raise InvalidInput(f"Two files must not have the same class name. Received: {place} with {first_names(twice)}")
    return Texts([found for _, found in named], classes, names)

"""What a modality does: it reads raw files, and decodes each item to an array of a fixed size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any, Generic, TypeVar

from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.codec import Codec
from gan_core.config import Pairs, Section
from gan_core.data.archives.source import Archives, Survey
from gan_core.data.sources import Source

Settings = TypeVar("Settings", bound=Section)


class Modality(ABC, Generic[Settings]):
    """A kind of data. Its entry in `gan_core.modalities.MODALITIES` names it and its section `prepare.<name>`.

    Attributes:
        item: what messages call an item, as its codec's `item`.
        settings: the type of its section.
        suffixes: suffixes of its raw files, in lower case, by which a folder's modality is recognised.
        companion: whether such files often lie beside those of other modalities, as a licence in a text file does; then
            the others decide.
        read: opens an item from the content of its file, as `decode` needs it.
        built_in: functions that open its built-in data sets, by the value of `prepare.source`.
    """

    item: str
    settings: type[Settings]
    suffixes: Set[str]
    companion: bool = False
    read: Callable[[bytes], Any] = bytes
    built_in: Mapping[str, Callable[[], Source]]

    @abstractmethod
    def open(self, path: Path) -> Source:
        """Opens a user's raw files.

        Raises:
            InvalidInput: their layout is invalid.
        """

    def open_archives(self, found: Survey, name: str) -> Source:
        """Opens archives of raw files; `name` is that of the modality.

        Raises:
            InvalidInput: their layout is invalid.
        """
        return Archives(found, name, item=self.item, suffixes=self.suffixes, read=self.read)

    def resolved(self, settings: Settings, source: Source) -> Settings:
        """Replaces what is `auto` in the settings by what the raw data suggest."""
        del source
        return settings

    @abstractmethod
    def decoded(self, settings: Settings) -> tuple[tuple[int, ...], DTypeLike]:
        """Returns the shape and the type of every decoded item, whose SHA-256 is its digest and decides its split."""

    @abstractmethod
    def decode(self, opener: Callable[[], Any], settings: Settings) -> NDArray[Any]:
        """Decodes one item; `opener` is the `open` of its RawItem. Several threads call this at the same time.

        Raises:
            UnreadableItem: the item cannot be used.
        """

    @abstractmethod
    def fit(self, train: Iterable[NDArray[Any]], held_out: Iterable[NDArray[Any]], settings: Settings) -> Codec:
        """Returns the codec, which may depend on the decoded items of both splits, in the order of their digests.

        The iterables can be read several times, and hold one item at a time in memory.
        """

    def pairs(self, settings: Settings) -> Pairs:
        """Returns the kind of input arrays to make from the stored arrays."""
        del settings
        return "none"

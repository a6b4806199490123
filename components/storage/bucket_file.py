"""Objects in a bucket as files that are read where they lie."""

from __future__ import annotations

import functools
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from components.storage import bucket, objects
from components.storage.bucket import Address
from gan_core.data.archives.members import Member
from gan_core.data.folders import LARGEST_FILE_BYTES, is_ignored
from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable

_BUFFER_BYTES = 8 * 2**20  # read at a time from front to back


@dataclass(frozen=True, order=True)
class BucketFile:
    """An object in a bucket as a file, which implements RawFile and FileOfList.

    Attributes:
        place: the object.
        size: number of bytes.
        generation: the number of this content.
        crc32c: its checksum.
    """

    place: Address
    size: int
    generation: int
    crc32c: str

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """The last part of the object's name."""
        return self.place.name.rpartition("/")[2]

    def stat(self) -> os.stat_result:
        """Returns the size, and the generation in place of the time."""
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, self.size, 0, 0, 0), {"st_mtime_ns": self.generation})

    def open(self, mode: Literal["rb"], buffering: int) -> BinaryIO:
        """Opens the object; `buffering` bytes are fetched at a time, or 8 MB if it is −1."""
        del mode
        return io.BufferedReader(_Reader(self), _BUFFER_BYTES if buffering < 0 else buffering)

    def part(self, start: int, count: int) -> bytes:
        """Returns at most `count` bytes from `start`.

        Raises:
            InvalidInput: the object has been replaced or deleted.
            TryAgain: the bucket does not answer.
        """
        from google.api_core.exceptions import NotFound

        end = min(start + count, self.size)
        if start >= end:
            return b""
        with bucket.explained(str(self)):
            blob = _bucket(self.place.bucket).blob(self.place.name, generation=self.generation)
            try:
                content: bytes = blob.download_as_bytes(
                    start=start, end=end - 1, checksum=None, retry=objects.retry(), raw_download=True
                )
            except NotFound:
                raise InvalidInput(
                    f"The objects of a source must not change while they are read. Received: {printable(str(self))}"
                ) from None
        if len(content) != end - start:
            raise TryAgain(f"The bucket's answer was cut. Received: {printable(str(self))}")
        return content

    def whole(self, most: int) -> bytes:
        """Returns the content.

        Raises:
            UnreadableItem: it has more than `most` bytes.
            InvalidInput, TryAgain: as `part`.
        """
        if self.size > most:
            raise UnreadableItem(f"more than {most} bytes")
        return self.part(0, self.size)

    def read_beside(self, path: str) -> bytes:
        """Returns the content of an object, whose name begins with the prefix of this one."""
        found = found_object(beside(self.place, path))
        if found is None:
            raise UnreadableItem("there is no such object")
        return found.whole(LARGEST_FILE_BYTES)


@dataclass(frozen=True)
class Prefix:
    """The objects below a prefix, which are read as the files of an archive; implements Container."""

    place: Address

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.place.name.rpartition("/")[2]

    def members(self) -> Iterator[Member]:
        """Yields the objects, sorted by name."""
        for name, file in objects_below(self.place):
            yield Member(name, file.whole)


class _Reader(io.RawIOBase):
    def __init__(self, file: BucketFile) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._file.size)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        content = self._file.part(self._position, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def objects_below(place: Address) -> Iterator[tuple[str, BucketFile]]:
    """Yields the objects below a prefix that are not hidden, with their name below it, sorted."""
    prefix = place.name and f"{place.name}/"
    with bucket.explained(str(place)):
        for blob in _bucket(place.bucket).list_blobs(prefix=prefix, retry=objects.retry()):
            name = blob.name.removeprefix(prefix)
            if name and not name.endswith("/") and not any(map(is_ignored, name.split("/"))):
                yield name, _file(place.bucket, blob)


def found_object(place: Address) -> BucketFile | None:
    """Returns the object at an address; None if there is none."""
    with bucket.explained(str(place)):
        blob = _bucket(place.bucket).get_blob(place.name, retry=objects.retry())
        return blob and _file(place.bucket, blob)


def _file(name: str, blob: Any) -> BucketFile:
    return BucketFile(Address(name, blob.name), blob.size, blob.generation, blob.crc32c)


def beside(place: Address, path: str) -> Address:
    """Returns the address of `path` in the prefix of an object; of the prefix itself if it is empty."""
    folder, slash, _ = place.name.rpartition("/")
    return Address(place.bucket, f"{folder}{slash}{path}".rstrip("/"))


@functools.cache
def _bucket(name: str) -> Any:
    """Returns the bucket, with the one client of this process."""
    from google.cloud import storage

    return storage.Client().bucket(name)

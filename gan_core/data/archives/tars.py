"""Reads tar archives: one header after the other, and the content of a member by its place in the file."""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from gan_core.data.archives.members import Member, set_aside
from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile, require_regular

LARGEST_HEADER_BYTES = 2**20
"""Of all headers of one member; the header of an ordinary member has 512 to 2,048 bytes."""
_ITEM_BYTES = 2**16  # read at a time, at least


def tar_members(path: RawFile) -> Iterator[Member]:
    """Yields the files of a tar archive in its order. Keeps one header in memory.

    Links, devices and sparse files are members that cannot be read.

    Raises:
        InvalidInput: it is not an uncompressed tar archive, is damaged, or is truncated.
    """
    try:
        size = require_regular(path)
        with path.open("rb", -1) as file:
            headers = _Headers(file, size)
            with tarfile.open(fileobj=headers, mode="r:") as archive:  # type: ignore[call-overload]
                while (member := _next(archive, headers)) is not None:
                    if not member.isdir():
                        yield Member(member.name, _reader(path, member))
                # tarfile takes a damaged header for the end.
                file.seek(archive.offset)
                end = file.read(tarfile.RECORDSIZE + tarfile.BLOCKSIZE)
                if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
                    raise tarfile.ReadError(f"there is no end mark at byte {archive.offset}")
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:  # a damaged archive can make tarfile raise nearly anything
        raise InvalidInput(
            "A .tar must be a whole, uncompressed tar archive: "
            f"{printable(str(error) or type(error).__name__)}. Received: {printable(str(path))}"
        ) from None


class _Headers:
    """The file as tarfile sees it: a header that claims a size above the limit is refused before it is read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file, self.size = file, size
        self.left = LARGEST_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self.left -= max(size, 1)
        if self.left < 0:
            raise tarfile.ReadError(f"a header has more than {LARGEST_HEADER_BYTES} bytes")
        return self._file.read(size)


def _next(archive: tarfile.TarFile, headers: _Headers) -> tarfile.TarInfo | None:
    headers.left = LARGEST_HEADER_BYTES
    member = archive.next()
    if member is not None:
        if member.size < 0 or archive.offset <= member.offset:
            raise tarfile.ReadError("a header claims a negative size")
        if archive.offset > headers.size:
            raise tarfile.ReadError("a member ends after the file")
    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps everything that it has read
    archive.pax_headers = {}
    return member


def _reader(path: RawFile, member: tarfile.TarInfo) -> functools.partial[bytes]:
    if not member.isreg():
        return functools.partial(set_aside, "a link or a device in the archive, not a file")
    if member.issparse():
        return functools.partial(set_aside, "a sparse file in the archive")
    return functools.partial(_read, path, member.offset_data, member.size)


def _read(path: RawFile, offset: int, size: int, most: int) -> bytes:
    if size > most:
        raise UnreadableItem(f"more than {most} bytes")
    try:
        with path.open("rb", _ITEM_BYTES) as file:
            file.seek(offset)
            content = file.read(size)
    except OSError as error:
        raise UnreadableItem(f"the archive cannot be read: {error.strerror}") from None
    if len(content) < size:
        raise UnreadableItem("the archive has become shorter")
    return content

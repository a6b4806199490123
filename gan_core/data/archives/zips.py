"""Reads zip archives member by member. The sizes that an archive declares are not trusted."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import stat
import zipfile
from collections.abc import Iterator

from gan_core.data.archives.members import Member, set_aside
from gan_core.errors import InvalidInput, TryAgain, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile, for_library, require_regular

_FLAG_OF_UTF_8 = 0x800


def zip_members(path: RawFile, rule: str = "A .zip must be a whole zip archive") -> Iterator[Member]:
    """Yields the files of a zip archive, sorted by name. Links are members that cannot be read.

    Raises:
        InvalidInput: it is not a zip archive, is damaged, or is truncated; the message begins with `rule`.
    """
    try:
        require_regular(path)
        with zipfile.ZipFile(for_library(path)) as archive:
            members = archive.infolist()
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:  # a damaged archive can make zipfile raise nearly anything
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InvalidInput(f"{rule}: {printable(said)}. Received: {printable(str(path))}") from None
    for name, member in sorted(((_name(member), member) for member in members), key=operator.itemgetter(0)):
        if stat.S_ISLNK(member.external_attr >> 16):
            yield Member(name, functools.partial(set_aside, "a link in the archive, not a file"))
        elif not name.endswith("/"):  # zipfile fails at an empty name
            yield Member(name, functools.partial(_read, path, member))


def _name(member: zipfile.ZipInfo) -> str:
    """Returns a member's name. macOS writes UTF-8 without its flag, and zipfile then takes the bytes for cp437."""
    if not member.flag_bits & _FLAG_OF_UTF_8:
        with contextlib.suppress(UnicodeError):
            return member.filename.encode("cp437").decode("utf-8")
    return member.filename


def _read(path: RawFile, member: zipfile.ZipInfo, most: int) -> bytes:
    try:
        status = path.stat()
        archive = _opened(os.getpid(), path, (status.st_mtime_ns, status.st_size))
        with archive.open(member) as stream:
            content = stream.read(most + 1)
    except (InvalidInput, TryAgain):
        raise
    except Exception as error:  # encrypted, damaged, or compressed with an unknown method
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableItem(printable(f"the archive cannot be read: {said}")) from None
    if len(content) > most:
        raise UnreadableItem(f"more than {most} bytes")
    return content


@functools.lru_cache(maxsize=4)
def _opened(process: int, path: RawFile, state: tuple[int, int]) -> zipfile.ZipFile:
    """Returns the open archive. Opening reads its whole directory, and processes must not share a file's position."""
    del process, state
    return zipfile.ZipFile(for_library(path))

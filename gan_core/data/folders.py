"""Selects and reads the raw files of a folder or an archive, for `prepare` and `evaluate`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Set
from pathlib import Path

from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.printing import printable
from gan_core.untrusted_files import read_bytes

LARGEST_FILE_BYTES = 2**28
# System folders of macOS, Synology, Windows and Linux.
_SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
_MD5 = re.compile("[0-9a-f]{32}")


def is_ignored(name: str) -> bool:
    """Whether a name is that of a hidden file or folder (.ipynb_checkpoints, ._1.png) or of a system folder."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def has_suffix(name: str, suffixes: Set[str]) -> bool:
    """Whether a file's name has one of the suffixes, in upper or lower case."""
    return os.path.splitext(name)[1].lower() in suffixes


def is_marked(folder: Path, name: str, keys: Set[str]) -> bool:
    """Whether the file `name` shows that this project wrote `folder`.

    A JSON document without `keys` does not show this, because other programs may write files of that name. A damaged
    file does, so that its reader reports what is wrong.
    """
    try:
        document = json.loads(read_bytes(folder / name))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        return os.path.lexists(folder / name)
    return document == {} or (isinstance(document, dict) and document.keys() >= keys)


def scan(folder: Path, suffixes: Set[str]) -> Iterator[os.DirEntry[str]]:
    """Yields the files and folders that are not ignored, in any order. No folder among them is a link.

    A dead link counts as a file if its name has one of the suffixes.

    Raises:
        InvalidInput: the folder cannot be read, or contains a link to a folder or a dead link.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    continue
                if entry.is_symlink() and not _may_be_a_file(entry, suffixes):
                    raise InvalidInput(
                        "A link in a folder of raw data must point to a file: replace the link by the folder itself. "
                        f"Received: {printable(entry.path)}, which points to {printable(os.readlink(entry.path))}"
                    )
                yield entry
    except OSError as error:
        raise InvalidInput(
            f"A folder of raw data must be readable: {error.strerror}. Received: {printable(str(folder))}"
        ) from None


def read_below(root: Path, path: Path) -> bytes:
    """Returns the content of a file below the resolved folder `root`.

    A link may also point to a file in a DVC cache (`cache.type symlink`), whose name is the MD5 of its content.

    Raises:
        UnreadableItem: it is not a regular file, cannot be read, is too large, or is a link to another file.
    """
    try:
        target = path.resolve()
        inside = target.is_relative_to(root)
        if not path.is_file():  # opening a named pipe would wait for ever
            raise UnreadableItem("not a regular file, or a link to nothing")
        if inside or cached_md5(target):
            if path.stat().st_size > LARGEST_FILE_BYTES:
                raise UnreadableItem(f"more than {LARGEST_FILE_BYTES} bytes")
            content = path.read_bytes()
            if inside or hashlib.md5(content, usedforsecurity=False).hexdigest() == cached_md5(target):
                return content
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise UnreadableItem(getattr(error, "strerror", None) or "a link to nothing") from None
    raise UnreadableItem(f"a symbolic link that leads out of the folder, to {printable(str(target))}")


def cached_md5(path: Path) -> str | None:
    """Returns the MD5 in a path of DVC's cache: its last two parts, such as `…/d4/1d8c…`; None for any other path."""
    last_two = path.parent.name + path.name
    return last_two if _MD5.fullmatch(last_two) else None


def _may_be_a_file(entry: os.DirEntry[str], suffixes: Set[str]) -> bool:
    return not entry.is_dir() if os.path.exists(entry.path) else has_suffix(entry.name, suffixes)

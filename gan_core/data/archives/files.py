"""Finds the archives that a source names: a file, a pattern such as `data/*.tar`, or a folder of archives."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence, Set
from pathlib import Path

from gan_core.data.folders import cached_md5, has_suffix, is_ignored, scan
from gan_core.errors import InvalidInput
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile

PARQUET = frozenset({".parquet"})
ZIP = frozenset({".zip"})
SUFFIXES = PARQUET | ZIP | {".tar"}


def archives_in(source: str, raw: Set[str]) -> Sequence[Path]:
    """Returns the archives that a source names, sorted; none if it names something else.

    A folder is one of archives if it holds archives, but neither folders nor files with the suffixes `raw`.

    Raises:
        InvalidInput: a pattern matches another file, parquet files lie beside other archives, or an archive in a folder
            is a link out of the folder.
    """
    path = Path(source)
    if path.is_dir():
        files = []
        for entry in scan(path, SUFFIXES):
            if entry.is_dir(follow_symlinks=False) or has_suffix(entry.name, raw):
                return []
            files += [Path(entry.path)] if has_suffix(entry.name, SUFFIXES) else []
        return _checked(files)
    if is_pattern(source):
        files = matches_of(source)
        if others := [file for file in files if not has_suffix(file.name, SUFFIXES)]:
            raise InvalidInput(
                f"A pattern must match only archives ({', '.join(sorted(SUFFIXES))}). Received: {source} with "
                f"{printable(str(others[0]))}"
            )
        return _checked(files)
    return [path] if has_suffix(path.name, SUFFIXES) and path.exists() else []


def is_pattern(source: str) -> bool:
    """Whether a source is a pattern: it has `*`, `?` or `[`, and is not the name of a file or folder."""
    return glob.has_magic(source) and not os.path.lexists(source)


def matches_of(pattern: str) -> list[Path]:
    """Returns the files and folders that match a pattern and are not ignored, sorted."""
    return sorted(path for path in map(Path, glob.glob(pattern)) if not is_ignored(path.name))


def pattern_folder(pattern: Path) -> Path:
    """Returns the last folder of a pattern's path that is not itself a pattern."""
    return next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))


def _checked(files: list[Path]) -> Sequence[Path]:
    """Returns the files, sorted. None may be a link out of its folder, except to a file in a DVC cache."""
    for file in files:
        target = file.resolve()
        if not target.is_relative_to(file.parent.resolve()) and _md5(target) != cached_md5(target):
            raise InvalidInput(
                "An archive in a folder must not be a link that leads out of the folder. Received: "
                f"{printable(str(file))}, which points to {printable(str(target))}"
            )
    require_one_kind(files)
    return sorted(files)


def require_one_kind(files: Sequence[RawFile]) -> None:
    """Checks that archives are all parquet files, or none of them.

    Raises:
        InvalidInput: they are not.
    """
    if len({has_suffix(file.name, PARQUET) for file in files}) > 1:
        raise InvalidInput(
            f"A source must not have parquet files and other archives. Received: {printable(min(map(str, files)))}, …"
        )


def _md5(target: Path) -> str:
    if cached_md5(target) is None or not target.is_file():
        return ""
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

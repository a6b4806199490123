"""Finds the folders of classes in a folder of raw data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

from gan_core.data.folders import has_suffix, scan
from gan_core.data.manifest import first_names
from gan_core.errors import InvalidInput
from gan_core.printing import printable


def unwrapped(folder: Path, suffixes: Set[str]) -> Path:
    """Returns the folder that holds the files or the folders of classes: `folder`, or one below it.

    A folder that stands alone and contains folders is no class, such as `train` in `pets/train/cat/1.png`.

    Raises:
        InvalidInput: as `scan`.
    """
    while (alone := _only_folder(folder, suffixes)) and _folders_in(alone, suffixes):
        folder = alone
    return folder


def _only_folder(folder: Path, suffixes: Set[str]) -> Path | None:
    """Returns the only folder in a folder; None if there are several, or files with one of the suffixes."""
    found = None
    for entry in scan(folder, suffixes):
        if entry.is_dir(follow_symlinks=False) and found is None:
            found = Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) or has_suffix(entry.name, suffixes):
            return None
    return found


def _folders_in(folder: Path, suffixes: Set[str]) -> list[str]:
    """Returns the names of the folders in a folder, sorted."""
    return sorted(entry.name for entry in scan(folder, suffixes) if entry.is_dir(follow_symlinks=False))


def members_of(class_folder: Path, suffixes: Set[str]) -> Iterator[os.DirEntry[str]]:
    """Yields the files in the folder of a class.

    Raises:
        InvalidInput: it contains a folder.
    """
    for member in scan(class_folder, suffixes):
        if member.is_dir(follow_symlinks=False):
            raise InvalidInput(_rule_of_depth(class_folder, member.name, suffixes))
        yield member


def _rule_of_depth(class_folder: Path, inner: str, suffixes: Set[str]) -> str:
    """Returns why the folder of a class must not contain the folder `inner`, and what to name instead."""
    source = class_folder.parent
    splits = [name for name in _folders_in(source, suffixes) if inner in _folders_in(source / name, suffixes)]
    if len(splits) > 1:
        best = source / ("train" if "train" in splits else splits[0])
        return (
            "A source must hold the folder of each class once, because `prepare` itself holds items out: use one of "
            f"the folders around them as the source, such as {printable(str(best))}. Received: source={str(source)!r} "
            f"with {printable(first_names([f'{name}/{inner}' for name in splits]))}"
        )
    return (
        f"The folder of a class must contain files and no folders. If {printable(str(class_folder))} contains the "
        "classes, use it as the source; if classes are deeper or in several places, list each file and its label in a "
        f"CSV. Received: source={str(source)!r} with {printable(str(class_folder / inner))}"
    )

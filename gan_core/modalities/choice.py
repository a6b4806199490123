"""Finds the modality of a source of raw data, and opens it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_core.data.archives.files import PARQUET, archives_in
from gan_core.data.archives.files import SUFFIXES as ARCHIVES
from gan_core.data.archives.label_files import AUTO, require_no_label
from gan_core.data.archives.members import Archive
from gan_core.data.archives.source import survey
from gan_core.data.class_folders import members_of, unwrapped
from gan_core.data.csv_table import CSV, PATH_COLUMNS, columns_of, header_of, listed_paths
from gan_core.data.folders import has_suffix, scan
from gan_core.data.listing import FileOfList, Listing
from gan_core.data.sources import Source
from gan_core.errors import InvalidInput
from gan_core.modalities import MODALITIES
from gan_core.modalities.parquet import open_parquet


def built_in() -> dict[str, str]:
    """Returns the modality of each built-in data set, by the value of `prepare.source`."""
    return {source: name for name, modality in MODALITIES.items() for source in modality.built_in}


def known_modality(source: str, modality: str) -> str | None:
    """Returns the modality that the parameters alone determine; None if it depends on the files in a folder."""
    return built_in().get(source) if modality == "auto" else modality


def open_source(name: str, modality: str = "auto", label: str = AUTO) -> Source:
    """Opens a built-in data set such as `embedded`, or raw files: a folder, archives, a CSV, or a file of texts.

    Args:
        name: the value of `prepare.source`.
        modality: the value of `prepare.modality`; `auto` recognises raw files by their suffixes.
        label: the value of `prepare.label`; it must be `auto` unless the source is a CSV, or archives or parquet files.

    Raises:
        InvalidInput: there is no such source, its layout is invalid, or its files belong to several modalities.
        TryAgain: the source must be downloaded, and that failed.

    >>> source = open_source("embedded")
    >>> source.count, source.classes[8]
    (10000, 'Bag')
    """
    chosen = known_modality(name, modality)
    if name in built_in():
        if chosen != built_in()[name]:
            raise InvalidInput(
                f"The parameter 'prepare.modality' must be auto or {built_in()[name]} for this built-in source. "
                f"Received: source={name!r}, modality={modality!r}"
            )
        require_no_label(label)
        return MODALITIES[chosen].built_in[name]()
    archives = archives_in(name, raw_suffixes(companions=False))
    if archives and has_suffix(archives[0].name, PARQUET):
        return open_parquet(archives, chosen, label)
    if archives:
        return open_archives(archives, chosen, label, f"source={name!r}")
    path = Path(name)
    if has_suffix(path.name, CSV) and path.is_file():
        return open_csv(path, chosen, label)
    require_no_label(label)
    if not path.exists():
        raise InvalidInput(
            f"The parameter 'prepare.source' must be {', '.join(built_in())} or an existing folder or file: of texts, "
            f"a list (.csv), an archive ({', '.join(sorted(ARCHIVES))}), or a pattern of archives. Received: "
            f"source={name!r}"
        )
    if chosen is None:
        suffixes = Counter(os.path.splitext(file)[1].lower() for file in _file_names(path))
        chosen = _modality_of_files(suffixes, f"source={name!r}")
    return MODALITIES[chosen].open(path)


def open_archives(files: Sequence[Archive], modality: str | None, label: str, place: str) -> Source:
    """Opens archives that are no parquet files; if no modality is chosen, the suffixes of the items decide."""
    found = survey(files, label)
    chosen = modality or _modality_of_files(found.suffixes(), place)
    return MODALITIES[chosen].open_archives(found, chosen)


def open_csv(file: Path | FileOfList, modality: str | None, label: str) -> Listing:
    """Opens a CSV; if no modality is chosen, the suffixes of the listed files decide, or else the items are texts."""
    if modality is None and set(PATH_COLUMNS).isdisjoint(header_of(file)):
        modality = "text"
    elif modality is None:
        suffixes = Counter(os.path.splitext(path)[1].lower() for path in listed_paths(file))
        modality = _modality_of_files(suffixes, f"source={str(file)!r}")
    return Listing(file, columns_of(file, label, is_text=modality == "text"), modality, MODALITIES[modality].read)


def raw_suffixes(*, companions: bool) -> frozenset[str]:
    """Returns the suffixes of all modalities; with or without those that are companions of others."""
    return frozenset[str]().union(*(one.suffixes for one in MODALITIES.values() if companions or not one.companion))


def _modality_of_files(suffixes: Counter[str], place: str) -> str:
    """Returns the modality whose suffixes the files have."""
    found = {
        name: count
        for name, modality in MODALITIES.items()
        if (count := sum(suffixes[suffix] for suffix in modality.suffixes))
    }
    if len(found) > 1:
        found = {name: count for name, count in found.items() if not MODALITIES[name].companion}
    if len(found) > 1:
        raise InvalidInput(
            "The files of a folder must belong to one modality; 'prepare.modality' chooses one and ignores the other "
            f"files. Received: {place} with "
            + ", ".join(f"{count} {MODALITIES[name].item}s" for name, count in found.items())
        )
    if not found:
        kinds = " or ".join(f"{one.item}s ({', '.join(sorted(one.suffixes))})" for one in MODALITIES.values())
        raise InvalidInput(
            f"The source must contain {kinds}, or be an archive ({', '.join(sorted(ARCHIVES))}) or "
            f"a list (.csv). Received: {place} with {suffixes.total()} other files"
        )
    return next(iter(found))


def _file_names(path: Path) -> Iterator[str]:
    """Yields the name of the file, or of each file in the folder and in the folders of its classes."""
    suffixes = raw_suffixes(companions=True)
    if not path.is_dir():
        yield path.name
        return
    for entry in scan(unwrapped(path, raw_suffixes(companions=False)), suffixes):
        if entry.is_dir(follow_symlinks=False):
            yield from (member.name for member in members_of(Path(entry.path), suffixes))
        else:
            yield entry.name

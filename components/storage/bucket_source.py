"""Raw data in a bucket, which is read where it lies.

An object is read at the generation that was listed. So a source that changes while it is read is refused.
"""

from __future__ import annotations

import fnmatch
import glob

from components.storage.bucket import Address
from components.storage.bucket_file import BucketFile, Prefix, beside, found_object, objects_below
from gan_core.data.archives.files import PARQUET, SUFFIXES, require_one_kind
from gan_core.data.csv_table import CSV, listed_paths
from gan_core.data.folders import has_suffix
from gan_core.data.sources import Source
from gan_core.digests import json_digest
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import known_modality, open_archives, open_csv, raw_suffixes
from gan_core.modalities.parquet import open_parquet
from gan_core.printing import printable


def place_of(source: str) -> Address:
    """Returns the address of a source; of a pattern that of the folder in which it is looked for.

    Raises:
        InvalidInput: it is no address, or a pattern in another place than its last part.
    """
    folder, _, last = source.rpartition("/")
    return Address.parse(folder if glob.has_magic(last) else source)


def open_bucket_source(source: str, modality: str, label: str) -> Source:
    """Opens raw data at a gs:// address; the arguments are those of `open_source`.

    Raises:
        InvalidInput: there is no such object, the layout is invalid, or the objects change meanwhile.
        TryAgain: the bucket does not answer.
    """
    chosen = known_modality(source, modality)
    found = _files_of(source)
    if isinstance(found, Prefix):
        return open_archives([found], chosen, label, f"source={source!r}")
    if has_suffix(found[0].name, CSV):
        return open_csv(found[0], chosen, label)
    if has_suffix(found[0].name, PARQUET):
        return open_parquet(found, chosen, label)
    return open_archives(found, chosen, label, f"source={source!r}")


def bucket_fingerprint(source: str) -> str:
    """Returns `sha256-<hex>` of the names, sizes and checksums of a source's objects.

    Raises:
        InvalidInput, TryAgain: as `open_bucket_source`.
    """
    found = _files_of(source)
    if isinstance(found, Prefix):
        files = dict(objects_below(found.place))
    else:
        files = {file.name: file for file in found}
        if has_suffix(found[0].name, CSV):
            listed = set(listed_paths(found[0]))
            folder = beside(found[0].place, "")
            files |= {name: file for name, file in objects_below(folder) if name in listed}
    return f"sha256-{json_digest(sorted([name, file.size, file.crc32c] for name, file in files.items()))}"


def _files_of(source: str) -> list[BucketFile] | Prefix:
    """Returns the archives or the CSV that a source names, or the prefix of other objects."""
    place, pattern = place_of(source), source.rpartition("/")[2]
    if glob.has_magic(pattern):
        files = [file for name, file in objects_below(place) if "/" not in name and fnmatch.fnmatchcase(name, pattern)]
        if others := [file for file in files if not has_suffix(file.name, SUFFIXES)]:
            raise InvalidInput(
                f"A pattern must match only archives ({', '.join(sorted(SUFFIXES))}). Received: {source} with "
                f"{printable(str(others[0]))}"
            )
    elif place.name and (file := found_object(place)):
        files = [file]
        if not has_suffix(file.name, SUFFIXES | CSV):
            raise InvalidInput(
                f"An object as the source must be a list (.csv) or an archive ({', '.join(sorted(SUFFIXES))}). "
                f"Received: {source}"
            )
    else:
        files = []
        for name, file in objects_below(place):
            if "/" in name or has_suffix(name, raw_suffixes(companions=False)):
                return Prefix(place)
            files += [file] if has_suffix(name, SUFFIXES) else []
        if not files and next(objects_below(place), None):
            return Prefix(place)
    if not files:
        raise InvalidInput(f"The address must hold raw data. Received: {source}")
    require_one_kind(files)
    return files

"""Transfers files and folders between this machine and a bucket.

A file is one object, which a bucket replaces atomically. A folder is one object per file. While a folder is being
written, it contains the object `.incomplete`, which is sent first and deleted last, and readers refuse the folder. A
repeated upload sends only files that are missing or differ.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from components.storage import bucket, objects
from components.storage.bucket import Address
from components.storage.incomplete import INCOMPLETE, marker_content
from gan_core.digests import json_digest
from gan_core.errors import InvalidInput, TryAgain
from gan_core.file_names import require_names

PARALLEL_TRANSFERS = 8
# Earlier versions wrote a folder's files below `.whole/<digest>/`, and the name of that folder to `.whole.json`.
_EARLIER_LISTING, _EARLIER_FOLDERS = ".whole.json", ".whole/"
_EARLIER_FOLDER = re.compile(rb'"folder": ?"(\.whole/[0-9a-f]{32})"')
_Item = TypeVar("_Item")


def download(address: Address, target: Path) -> None:
    """Downloads the file or the folder at `address` to `target`, and verifies checksums.

    Raises:
        InvalidInput, TryAgain: as `download_folder`.
    """
    with bucket.opened(address) as opened:
        if address.name and (found := opened.get_blob(address.name, retry=objects.retry())):
            objects.receive(found, target)
            return
    download_folder(address, target)


def download_folder(address: Address, target: Path) -> int:
    """Downloads the files below `address` to the new folder `target`; returns the number of files.

    Raises:
        InvalidInput: there are no files, or a name cannot be that of a file; also as `bucket.opened`.
        TryAgain: the folder is incomplete, or it changed during the download; also as `bucket.opened`.
    """
    from google.api_core.exceptions import NotFound

    with bucket.opened(address) as opened:
        files = _complete_files(opened, address)
        target.mkdir()
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            _each(files, lambda name: objects.receive(files[name], target / name))
            changed = _generations(_complete_files(opened, address)) != _generations(files)
        except NotFound:
            changed = True
        if changed:
            raise TryAgain(f"The folder was changed while it was read. Received: {address}")
        return len(files)


def listing_digest(address: Address) -> str:
    """Returns `sha256-<hex>` of the names, sizes and checksums of a folder's files, the version of its content.

    Raises:
        InvalidInput, TryAgain: as `download_folder`.
    """
    with bucket.opened(address) as opened:
        files = _complete_files(opened, address)
        entries = [[name, blob.size, blob.crc32c] for name, blob in files.items()]
        return f"sha256-{json_digest(sorted(entries))}"


def upload(source: Path, address: Address, replaced: Set[str] = frozenset(), kind: str = "") -> None:
    """Sends the file or the folder `source` to `address`.

    Args:
        source: the file or the folder.
        address: its place in the bucket.
        replaced: names of files in the folder at `address` that are replaced, or deleted if `source` lacks them.
        kind: the kind of output that the folder is, for the next command if this one is interrupted.

    Raises:
        InvalidInput: a file that is not among `replaced` has the name of a new one; also as `bucket.opened`.
        Conflict: another process wrote the same folder meanwhile.
        TryAgain: as `bucket.opened`.
    """
    with bucket.opened(address) as opened:
        if source.is_file():
            with source.open("rb") as content:
                objects.send(opened, address.name, content)
            return
        names = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
        if foreign := names & files_at(opened, address).keys() - replaced:
            raise InvalidInput(f"An output replaces only files of an earlier one. Received: {address / min(foreign)}")
        said = io.BytesIO(marker_content(kind, names | replaced))
        marker = objects.send(opened, (address / INCOMPLETE).name, said)
        send_files(opened, source, address, replaced)
        objects.delete(marker)
        if opened.blob(marker.name).exists(retry=objects.retry()):
            raise objects.Conflict(f"Another process wrote the same folder meanwhile. Received: {address}")


def send_files(opened: Any, source: Path, address: Address, replaced: Set[str] = frozenset()) -> None:
    """Sends the files of a folder that differ from those at `address`; the arguments are those of `upload`.

    Raises:
        Conflict: another process wrote one of the files meanwhile.
    """
    present = files_at(opened, address)
    paths = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if path.is_file()}

    def send_file(name: str) -> None:
        there = present.get(name)
        with paths[name].open("rb") as content:
            if there is None or there.size != content.seek(0, 2) or there.crc32c != objects.crc32c(content):
                objects.send(opened, (address / name).name, content, there.generation if there else 0)

    _each(paths, send_file)
    # The listing of an earlier version is deleted first, because the files that it names do not count without it.
    gone = [name for name in present if name not in paths and (name in replaced or _is_earlier(name))]
    for name in sorted(gone, key=lambda name: name != _EARLIER_LISTING):
        objects.delete(present[name])


def files_at(opened: Any, address: Address) -> dict[str, Any]:
    """Returns the objects below `address` by relative name.

    Leaves out the web console's folder markers: empty objects whose name ends with a slash, and the prefix itself.
    """
    prefix = address.name and f"{address.name}/"
    return {
        blob.name.removeprefix(prefix): blob
        for blob in opened.list_blobs(prefix=prefix, retry=objects.retry())
        if blob.name != prefix and (blob.size or not blob.name.endswith("/"))
    }


def whole_files(opened: Any, address: Address) -> dict[str, Any]:
    """Returns the files of a folder, which this or an earlier version of this project or another tool wrote."""
    files = files_at(opened, address)
    if listing := files.get(_EARLIER_LISTING):
        match = _EARLIER_FOLDER.search(objects.read(listing)[:200])
        if match is None:
            raise InvalidInput(
                f"A folder's {_EARLIER_LISTING} must be one that this project wrote. Received: {address}"
            )
        prefix = f"{match[1].decode()}/"
        return {name.removeprefix(prefix): blob for name, blob in files.items() if name.startswith(prefix)}
    return {name: blob for name, blob in files.items() if not _is_earlier(name)}


def _complete_files(opened: Any, address: Address) -> dict[str, Any]:
    files = whole_files(opened, address)
    if INCOMPLETE in files:
        raise TryAgain(
            "The folder must be complete, but the command that writes it has not finished; if it was interrupted, "
            f"run it again. Received: {address}"
        )
    if not files:
        raise InvalidInput(f"The address must hold a file or a folder of files. Received: {address}")
    require_names(list(files), str(address))
    return files


def _generations(files: dict[str, Any]) -> dict[str, int]:
    return {name: blob.generation for name, blob in files.items()}


def _is_earlier(name: str) -> bool:
    return name == _EARLIER_LISTING or name.startswith(_EARLIER_FOLDERS)


def _each(items: Iterable[_Item], work: Callable[[_Item], None]) -> None:
    with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
        list(pool.map(work, items))

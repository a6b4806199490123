"""Transfers files and folders to a bucket and back.

A file is one object, which a bucket replaces atomically. A folder is one object per file. While a folder is written, it
holds the object `.incomplete`, which is sent first and deleted last, and readers refuse the folder. A repeated upload
sends only the files that are not there yet.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from components.storage import bucket
from components.storage.bucket import Address
from gan_core.errors import InvalidInput, TryAgain
from gan_core.file_names import require_names

INCOMPLETE = ".incomplete"
PARALLEL_TRANSFERS = 8
MOST_BYTES = 2**28  # the largest object that is read into memory
CHUNK_BYTES = 8 * 2**20  # chunk of a resumable upload; after a cut connection one chunk is sent again
# Earlier versions wrote a folder's files below `.whole/<digest>/`, and the name of that folder to `.whole.json`.
_EARLIER_LISTING, _EARLIER_FOLDERS = ".whole.json", ".whole/"
_EARLIER_FOLDER = re.compile(rb'"folder": ?"(\.whole/[0-9a-f]{32})"')
_Item = TypeVar("_Item")


class Conflict(TryAgain):
    """Another process wrote an object that this process was about to replace."""


def download(address: Address, target: Path) -> None:
    """Downloads the file or the folder at `address` to `target`, and verifies checksums.

    Raises:
        InvalidInput, TryAgain: as `download_folder`.
    """
    with bucket.opened(address) as opened:
        if address.name and (found := opened.get_blob(address.name, retry=retry())):
            receive(found, target)
            return
    download_folder(address, target)


def download_folder(address: Address, target: Path) -> int:
    """Downloads the files below `address` to the new folder `target`; returns their number.

    Raises:
        InvalidInput: there are none, or a name cannot be a file's name in `target`; also as `bucket.opened`.
        TryAgain: the folder is not complete, or it changed meanwhile; also as `bucket.opened`.
    """
    from google.api_core.exceptions import NotFound

    with bucket.opened(address) as opened:
        files = _complete_files(opened, address)
        target.mkdir()
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            _each(files, lambda name: receive(files[name], target / name))
            changed = _generations(_complete_files(opened, address)) != _generations(files)
        except NotFound:
            changed = True
        if changed:
            raise TryAgain(f"The folder was changed while it was read. Received: {address}")
        return len(files)


def listing_digest(address: Address) -> str:
    """`sha256-<hex>` of the names, sizes and checksums of a folder's files: the version of its content.

    Raises:
        InvalidInput, TryAgain: as `download_folder`.
    """
    with bucket.opened(address) as opened:
        files = _complete_files(opened, address)
        entries = [[name, blob.size, blob.crc32c] for name, blob in files.items()]
        return f"sha256-{hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()}"


def upload(source: Path, address: Address, replaced: Set[str] = frozenset()) -> None:
    """Sends the file or the folder `source` to `address`.

    Args:
        source: the file or the folder.
        address: its place in the bucket.
        replaced: names of files in the folder at `address` that are deleted unless `source` has them too.

    Raises:
        InvalidInput: as `bucket.opened`.
        Conflict: another process wrote the same folder meanwhile.
        TryAgain: as `bucket.opened`.
    """
    with bucket.opened(address) as opened:
        if source.is_file():
            with source.open("rb") as content:
                send(opened, address.name, content)
            return
        marker = send(opened, (address / INCOMPLETE).name, io.BytesIO())
        send_files(opened, source, address, replaced)
        delete(marker)
        if opened.blob(marker.name).exists(retry=retry()):
            raise Conflict(f"Another process wrote the same folder meanwhile. Received: {address}")


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
            if there is None or there.size != content.seek(0, 2) or there.crc32c != _crc32c(content):
                send(opened, (address / name).name, content, there.generation if there else 0)

    _each(paths, send_file)
    # The listing goes first: without it, the files that it names do not count.
    gone = [name for name in present if name not in paths and (name in replaced or _is_earlier(name))]
    for name in sorted(gone, key=lambda name: name != _EARLIER_LISTING):
        delete(present[name])


def files_at(opened: Any, address: Address) -> dict[str, Any]:
    """The objects below `address` by relative name.

    Leaves out the web console's folder markers: empty objects whose name ends with a slash, and the prefix itself.
    """
    prefix = address.name and f"{address.name}/"
    return {
        blob.name.removeprefix(prefix): blob
        for blob in opened.list_blobs(prefix=prefix, retry=retry())
        if blob.name != prefix and (blob.size or not blob.name.endswith("/"))
    }


def whole_files(opened: Any, address: Address) -> dict[str, Any]:
    """The files of a folder that this or an earlier version of this project, or another tool, wrote; maybe none."""
    files = files_at(opened, address)
    if listing := files.get(_EARLIER_LISTING):
        match = _EARLIER_FOLDER.search(read(listing)[:200])
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


def send(opened: Any, name: str, content: BinaryIO, generation: int | None = None) -> Any:
    """Writes an object and returns it.

    Args:
        opened: the bucket.
        name: the object's name.
        content: the object's content.
        generation: the generation that may be replaced; 0 if there must be no such object, None for any.

    Raises:
        Conflict: the object has another generation, and its content is not `content`.
    """
    from google.api_core.exceptions import PreconditionFailed

    blob = opened.blob(name, chunk_size=CHUNK_BYTES)
    try:
        blob.upload_from_file(
            content,
            rewind=True,
            size=content.seek(0, 2),
            checksum="crc32c",
            if_generation_match=generation,
            retry=retry(),
        )
    except PreconditionFailed:
        found = opened.get_blob(name, retry=retry())
        if found is None or found.crc32c != _crc32c(content):  # otherwise only the answer was lost
            raise Conflict(f"Another process wrote the same object. Received: gs://{opened.name}/{name}") from None
        return found
    return blob


def read(blob: Any) -> bytes:
    """The content of a small object of a listing.

    Raises:
        InvalidInput: the object is larger than MOST_BYTES.
    """
    if blob.size > MOST_BYTES:
        raise InvalidInput(f"{blob.name} must have at most {MOST_BYTES} bytes. Received: {blob.size}")
    content: bytes = _listed(blob).download_as_bytes(checksum="crc32c", retry=retry())
    return content


def receive(blob: Any, target: Path) -> None:
    """Downloads an object of a listing to the file `target`, and verifies its checksum."""
    # The checksum of an object that the bucket decompresses is that of the compressed content.
    expected = None if blob.content_encoding else blob.crc32c

    def transfer() -> None:
        _listed(blob).download_to_filename(str(target), checksum="crc32c", retry=retry())
        with target.open("rb") as content:
            # The client verifies nothing if it had to continue after a cut connection.
            if expected and _crc32c(content) != expected:
                raise ConnectionError(f"{blob.name} arrived damaged.")

    retry()(transfer)()


def delete(blob: Any) -> None:
    """Deletes an object unless it is gone or has been replaced."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    with contextlib.suppress(NotFound, PreconditionFailed):
        blob.bucket.blob(blob.name).delete(if_generation_match=blob.generation, retry=retry())


def _listed(blob: Any) -> Any:
    """The generation of an object that a listing names. A copy, because a download changes the client's object."""
    return blob.bucket.blob(blob.name, generation=blob.generation)


def retry() -> Any:
    """The client's retries for a transfer."""
    return bucket.retry(bucket.TRANSFER_WITHIN_SECONDS)


def _each(items: Iterable[_Item], work: Callable[[_Item], None]) -> None:
    with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
        list(pool.map(work, items))


def _crc32c(content: BinaryIO) -> str:
    """The checksum of a file, in base64 as the bucket writes it."""
    from google_crc32c import Checksum

    content.seek(0)
    checksum = Checksum()
    while part := content.read(2**20):
        checksum.update(part)
    return base64.b64encode(checksum.digest()).decode()

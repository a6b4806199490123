"""Transfers files and directories to a bucket and back, whole or not at all.

A file is one object. A directory is a set of objects below `.whole/<digest of its content>/` and a listing,
`.whole.json`. The listing is written last, in one request that fails if another process has replaced it meanwhile.
Readers trust only listed objects, at the listed generation and with the listed checksum. A partial upload is therefore
invisible, and the earlier directory stays until the new listing is written. A repeated upload continues where the last
one ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.storage import bucket, objects
from components.storage.bucket import Address
from components.storage.objects import Entry
from gan_core.errors import InvalidInput, TryAgain
from gan_core.file_names import require_names

LISTING = ".whole.json"
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Listing(BaseModel):
    """The files of a directory; `folder` is their place below its address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    folder: Annotated[str, Field(pattern=r"^\.whole/[0-9a-f]{32}$")]
    files: tuple[Entry, ...]


def download(address: Address, target: Path) -> None:
    """Downloads the file or the directory at `address` to `target`, and verifies its checksums.

    Raises:
        InvalidInput: there is none, or its listing is not one that this project wrote.
        TryAgain: the bucket does not answer, or the directory was replaced meanwhile.
    """
    from google.api_core.exceptions import NotFound

    with bucket.opened(address) as opened:
        if address.name and (found := opened.get_blob(address.name, retry=objects.retry())):
            entry = Entry(name=found.name, size=found.size, crc32c=found.crc32c, generation=found.generation)
            objects.receive(opened, entry.name, entry, target)
            return
        listing = read_listing(opened, address)
        if listing is None:
            list(opened.list_blobs(max_results=1, retry=objects.retry()))  # raises if there is no such bucket
            raise InvalidInput(
                "The address must hold a file, or a directory that was written whole by a command of this project; "
                f"components.fetch brings what other tools wrote. Received: {address}"
            )
        require_names([file.name for file in listing.files], str(address))
        target.mkdir()
        for file in listing.files:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
        place = address / listing.folder
        try:
            _each(
                listing.files, lambda file: objects.receive(opened, (place / file.name).name, file, target / file.name)
            )
        except NotFound:
            raise TryAgain(f"The directory was replaced while it was read. Received: {address}") from None


def upload(source: Path, address: Address) -> None:
    """Sends the file or the directory `source` to `address`, whole or not at all.

    Raises:
        InvalidInput: no such bucket, no permission.
        TryAgain: the bucket does not answer, or another process replaced the directory meanwhile.
    """
    with bucket.opened(address) as opened:
        if source.is_file():
            with source.open("rb") as content:
                objects.send(opened, address.name, content)
            return
        paths = {str(path.relative_to(source)): path for path in sorted(source.rglob("*")) if path.is_file()}
        digests = {name: _sha256(path) for name, path in paths.items()}
        folder = f"{bucket.UPLOADS}{hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:32]}"
        place = address / folder
        before, generation = objects.read_object(opened, (address / LISTING).name) or (b"", 0)
        present = {blob.name: blob for blob in opened.list_blobs(prefix=f"{place.name}/", retry=objects.retry())}

        def send_file(name: str) -> Entry:
            target = (place / name).name
            with paths[name].open("rb") as content:
                sent = objects.send(opened, target, content, present.get(target))
            return sent.model_copy(update={"name": name})

        listing = Listing(format=1, folder=folder, files=tuple(_each(paths, send_file)))
        text = listing.model_dump_json(indent=1).encode()
        if objects.replace(opened, (address / LISTING).name, text, generation, text.__eq__) is None:
            raise TryAgain(f"Another process wrote the same directory meanwhile. Received: {address}")
        replaced = _parse_listing(before, address) if before else listing
        if replaced.folder != folder:
            gone = address / replaced.folder
            _each(replaced.files, lambda file: objects.delete(opened, (gone / file.name).name, file))


def read_listing(opened: Any, address: Address) -> Listing | None:
    """The listing of the directory at `address`; None if there is none."""
    found = objects.read_object(opened, (address / LISTING).name)
    return _parse_listing(found[0], address) if found else None


def _parse_listing(content: bytes, address: Address) -> Listing:
    try:
        return Listing.model_validate_json(content)
    except ValidationError:
        raise InvalidInput(
            f"A directory's {LISTING} must be one that this project wrote. Received: {address}"
        ) from None


def _each(items: Iterable[_Item], work: Callable[[_Item], _Result]) -> list[_Result]:
    with ThreadPoolExecutor(bucket.PARALLEL_TRANSFERS) as pool:
        return list(pool.map(work, items))


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

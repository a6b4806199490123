"""Sends, receives and replaces single objects of a bucket, with checksums and retries."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from components.storage import bucket
from gan_core.errors import InvalidInput, TryAgain

MOST_BYTES = 2**28  # the largest object that is read into memory; a listing has about 150 bytes per file
READINGS = 10  # attempts to read an object that others keep replacing
CHUNK_BYTES = 8 * 2**20  # chunk of a resumable upload; after a cut connection one chunk is sent again


class Entry(BaseModel):
    """An object's name and expected content.

    Attributes:
        name: relative to the place that lists it.
        size: bytes.
        crc32c: checksum of the content, as base64 of four bytes, as the bucket writes it.
        generation: the bucket's generation number of this content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: Annotated[int, Field(ge=0)]
    crc32c: str
    generation: Annotated[int, Field(ge=1)]


def send(opened: Any, name: str, content: BinaryIO, present: Any = None) -> Entry:
    """Writes `content` as the object `name`, unless the object `present` has the same size and checksum already."""
    size, crc32c = content.seek(0, 2), _crc32c(content)
    if present is None or (present.size, present.crc32c) != (size, crc32c):
        present = opened.blob(name, chunk_size=CHUNK_BYTES)

        def transfer() -> None:
            present.upload_from_file(content, rewind=True, size=size, checksum="crc32c", retry=retry())
            if present.crc32c != crc32c:
                raise ConnectionError(f"{name} arrived damaged.")

        retry()(transfer)()
    return Entry(name=name, size=size, crc32c=crc32c, generation=present.generation)


def receive(opened: Any, name: str, entry: Entry, target: Path) -> None:
    """Writes the object `name` at the entry's generation to `target`, and compares it with the entry's checksum."""
    blob = opened.blob(name, generation=entry.generation)

    def transfer() -> None:
        blob.download_to_filename(str(target), checksum="crc32c", retry=retry())
        with target.open("rb") as content:
            # The client skips its own comparison if it had to repeat the request.
            if _crc32c(content) != entry.crc32c:
                raise ConnectionError(f"{name} arrived damaged.")

    retry()(transfer)()


def read_object(opened: Any, name: str) -> tuple[bytes, int] | None:
    """The content of a small object and its generation; None if there is none.

    Raises:
        InvalidInput: the object is larger than MOST_BYTES.
        TryAgain: the object was replaced during each of READINGS attempts.
    """
    from google.api_core.exceptions import NotFound

    for _ in range(READINGS):
        found = opened.get_blob(name, retry=retry())
        if found is None:
            return None
        if found.size > MOST_BYTES:
            raise InvalidInput(f"{name} must have at most {MOST_BYTES} bytes. Received: {found.size}")
        with contextlib.suppress(NotFound):  # replaced since
            return opened.blob(name, generation=found.generation).download_as_bytes(retry=retry()), found.generation
    raise TryAgain(f"The object was replaced {READINGS} times while it was read. Received: {name}")


def replace(opened: Any, name: str, content: bytes, generation: int, ours: Callable[[bytes], bool]) -> int | None:
    """Writes a small object unless another process has written it.

    Args:
        opened: the bucket.
        name: the object's name.
        content: the new content.
        generation: the generation that is replaced; 0 if there is no object yet.
        ours: whether this process wrote the given content. It recognises an earlier write whose answer was lost.

    Returns:
        The new generation; None if another process has written the object.
    """
    from google.api_core.exceptions import PreconditionFailed

    while True:
        blob = opened.blob(name)
        try:
            blob.upload_from_string(content, if_generation_match=generation, checksum="crc32c", retry=retry())
        except PreconditionFailed:
            found = read_object(opened, name)
            if found is None or not ours(found[0]):
                return None
            if found[0] == content:
                return found[1]
            generation = found[1]
        else:
            return int(blob.generation)


def delete(opened: Any, name: str, entry: Entry) -> None:
    """Removes an object that no listing names any more, unless it is gone or has been rewritten."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    with contextlib.suppress(NotFound, PreconditionFailed):
        opened.blob(name).delete(if_generation_match=entry.generation, retry=retry())


def retry() -> Any:
    """The client's retries for a transfer."""
    return bucket.retry(bucket.TRANSFER_WITHIN_SECONDS)


def _crc32c(content: BinaryIO) -> str:
    from google_crc32c import Checksum

    content.seek(0)
    checksum = Checksum()
    while part := content.read(2**20):
        checksum.update(part)
    return base64.b64encode(checksum.digest()).decode()

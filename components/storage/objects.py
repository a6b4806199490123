"""Single objects of a bucket: sent, received and replaced, checked on the way and tried again."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from components.storage import bucket
from gan_core.errors import InvalidInput, TryAgain

MOST_BYTES = 2**28  # of an object that is read into memory: a listing has about 150 for each file
READINGS = 10  # of an object that is replaced again and again
CHUNK_BYTES = 8 * 2**20  # of a resumable upload: what is sent again after a cut


class Entry(BaseModel):
    """An object, and what it must be.

    Attributes:
        name: below the place that lists it.
        size: bytes.
        crc32c: of the content, as base64 of four bytes, as the bucket writes it.
        generation: the bucket's number of this content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: Annotated[int, Field(ge=0)]
    crc32c: str
    generation: Annotated[int, Field(ge=1)]


def send(opened: Any, name: str, content: BinaryIO, present: Any = None) -> Entry:
    """Writes `content` as the object `name`, unless `present` is that object already; the bucket's checksum decides."""
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
            # The client does not compare what it had to ask for twice.
            if _crc32c(content) != entry.crc32c:
                raise ConnectionError(f"{name} arrived damaged.")

    retry()(transfer)()


def read_object(opened: Any, name: str) -> tuple[bytes, int] | None:
    """The content of a small object and its generation; None if there is none.

    Raises:
        InvalidInput: it is no small object.
        TryAgain: it is replaced again and again.
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
    """Writes a small object if it still has `generation`, 0 for none; returns the new one, None if another wrote it.

    Args:
        opened: the bucket.
        name: of the object.
        content: to be written.
        generation: of what is replaced.
        ours: says whether an object's content was written by this process: the answer to that may have been lost.
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
    """Removes an object that nothing lists any more, unless it is gone or has been written anew."""
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

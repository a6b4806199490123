"""Writes, reads and deletes single objects of a bucket. The client retries and compares checksums."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any, BinaryIO

from components.storage import bucket
from gan_core.errors import InvalidInput, TryAgain

MOST_BYTES = 2**28  # the largest object that is read into memory
CHUNK_BYTES = 8 * 2**20  # chunk of a resumable upload; after a cut connection, only one chunk is sent again


class Conflict(TryAgain):
    """Another process wrote an object that this process was about to replace."""


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
        if found is None or found.crc32c != crc32c(content):  # the same content means that only the answer was lost
            raise Conflict(f"Another process wrote the same object. Received: gs://{opened.name}/{name}") from None
        return found
    return blob


def read(blob: Any) -> bytes:
    """Returns the content of a small object from a listing.

    Raises:
        InvalidInput: the object is larger than MOST_BYTES.
    """
    if blob.size > MOST_BYTES:
        raise InvalidInput(f"{blob.name} must have at most {MOST_BYTES} bytes. Received: {blob.size}")
    # Raw, because the limit does not hold for content that the bucket decompresses.
    content: bytes = _listed(blob).download_as_bytes(checksum="crc32c", retry=retry(), raw_download=True)
    return content


def receive(blob: Any, target: Path) -> None:
    """Downloads an object from a listing to the file `target`, and verifies its checksum."""
    # The checksum of an object that the bucket decompresses is that of the compressed content.
    expected = None if blob.content_encoding else blob.crc32c

    def transfer() -> None:
        _listed(blob).download_to_filename(str(target), checksum="crc32c", retry=retry())
        with target.open("rb") as content:
            # The client verifies nothing if it had to continue after a cut connection.
            if expected and crc32c(content) != expected:
                raise ConnectionError(f"{blob.name} arrived damaged.")

    retry()(transfer)()


def delete(blob: Any) -> None:
    """Deletes an object unless it has been deleted or replaced."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    with contextlib.suppress(NotFound, PreconditionFailed):
        blob.bucket.blob(blob.name).delete(if_generation_match=blob.generation, retry=retry())


def _listed(blob: Any) -> Any:
    """Returns a copy of an object of a listing, with the same generation; a download changes the client's object."""
    return blob.bucket.blob(blob.name, generation=blob.generation)


def retry() -> Any:
    """Returns the client's retries for a transfer."""
    return bucket.retry(bucket.TRANSFER_WITHIN_SECONDS)


def crc32c(content: BinaryIO) -> str:
    """Returns the checksum of a file in base64, as the bucket does."""
    from google_crc32c import Checksum

    content.seek(0)
    checksum = Checksum()
    while part := content.read(2**20):
        checksum.update(part)
    return base64.b64encode(checksum.digest()).decode()

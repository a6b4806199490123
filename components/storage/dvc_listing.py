"""Reads and checks a remote's listing of the files in a folder under DVC.

DVC uses the listing's names and digests as paths before it compares the listing with the digest in the pointer.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from components.storage import bucket
from gan_core.errors import InvalidInput
from gan_core.file_names import require_names

MOST_BYTES = 2**28  # an entry has about 100 bytes
_MD5 = re.compile(r"[0-9a-f]{32}")
_NOT_IN_LISTINGS = {".dvc", ".dvcignore", ".git"}  # path components that DVC never lists, but would interpret


def read_listing(remote: str, md5: str) -> bytes:
    """Reads the listing with the pointer's digest `md5` from the remote, a gs:// address or a folder.

    Raises:
        InvalidInput: the listing is missing, unreadable or too large, or has another digest.
        TryAgain: the bucket does not answer.
    """
    name = f"files/md5/{md5[:2]}/{md5[2:]}"
    if remote.startswith("gs://"):
        content = bucket.read_bytes(f"{remote.rstrip('/')}/{name}", MOST_BYTES)
    else:
        content = _read_file(Path(remote, name))
    if content is None:
        raise InvalidInput(f"The remote must hold the version that the pointer names, md5-{md5}. Received: {remote}")
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"A remote's listing must have at most {MOST_BYTES} bytes. Received: more for md5-{md5}")
    if f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir" != md5:
        raise InvalidInput(f"The remote's listing must have the digest that the pointer names. Received: md5-{md5}")
    return content


def files_of(listing: bytes, md5: str) -> dict[str, str]:
    """Returns the md5 of each file by its name.

    Raises:
        InvalidInput: DVC did not write the listing, or its names cannot be files below one folder.
    """
    rule = "The remote's listing must be one that DVC wrote, with the md5 and relpath of each file"
    try:
        entries = json.loads(listing)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{rule}, as JSON. Received: md5-{md5}") from None
    if not isinstance(entries, list):
        raise InvalidInput(f"{rule}, in a list. Received: md5-{md5}")
    for entry in entries:
        # DVC would interpret further keys, such as the name of another remote.
        if not isinstance(entry, dict) or entry.keys() != {"md5", "relpath"} or not isinstance(entry["relpath"], str):
            raise InvalidInput(f"{rule} and nothing else. Received: {str(entry)[:200]} in md5-{md5}")
        if not isinstance(entry["md5"], str) or not _MD5.fullmatch(entry["md5"]):
            raise InvalidInput(f"{rule}: 32 hexadecimal digits. Received: {str(entry)[:200]} in md5-{md5}")
        if _NOT_IN_LISTINGS & set(entry["relpath"].split("/")):
            raise InvalidInput(f"{rule}, and no names that DVC or git use. Received: {str(entry)[:200]} in md5-{md5}")
    require_names([entry["relpath"] for entry in entries], f"md5-{md5}")
    return {entry["relpath"]: entry["md5"] for entry in entries}


def _read_file(path: Path) -> bytes | None:
    try:
        if not path.is_file():  # reading a pipe would never end
            return None
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"The remote's listing must be readable: {error.strerror}. Received: {path}") from None

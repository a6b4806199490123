"""Reads the address of a folder in a bucket, with or without the version of its content."""

from __future__ import annotations

import re

from gan_core.errors import InvalidInput

_BUCKET = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]+)(/(?P<prefix>[\w ./@=+~-]*))?", re.ASCII)
_VERSION = re.compile(r"sha256-[0-9a-f]{64}")


def is_bucket(address: str) -> bool:
    """Whether an address is that of a bucket, or meant to be one."""
    return address.startswith("gs://")


def split_bucket(address: str) -> tuple[str, str]:
    """Splits a gs:// address into bucket and prefix; the prefix ends with a slash or is empty.

    Raises:
        InvalidInput: the address has another form.
    """
    match = _BUCKET.fullmatch(address)
    if not match:
        raise InvalidInput(f"A bucket's address must look like gs://bucket/folder. Received: {address[:200]!r}")
    prefix = (match["prefix"] or "").strip("/")
    return match["bucket"], prefix and f"{prefix}/"


def split_version(address: str) -> tuple[str, str]:
    """Splits gs://bucket/folder#sha256-… into address and version; the version is empty if there is none.

    Raises:
        InvalidInput: the address has another form.
    """
    place, hash_sign, version = address.partition("#")
    split_bucket(place)
    if hash_sign and not _VERSION.fullmatch(version):
        raise InvalidInput(
            f"A version must be sha256- and 64 hexadecimal digits, as resolve writes it. Received: {address[:300]!r}"
        )
    return place, version

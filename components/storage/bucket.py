"""Google Cloud Storage: addresses, client settings, and failures explained in one sentence."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from gan_core.bucket_address import split_bucket
from gan_core.errors import InvalidInput, TryAgain

ANSWER_WITHIN_SECONDS = 10.0
TRANSFER_WITHIN_SECONDS = 120.0  # one request with all its retries
_QUOTA = re.compile(r"[rR]ateLimitExceeded|quotaExceeded|usageLimits")


@dataclass(frozen=True)
class Address:
    """An object or a prefix in a bucket. `name` neither begins nor ends with a slash, and may be empty."""

    bucket: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a gs:// address; raises InvalidInput if it is not one."""
        name, prefix = split_bucket(text)
        return cls(name, prefix.rstrip("/"))

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"

    def __truediv__(self, name: str) -> Address:
        return Address(self.bucket, f"{self.name}/{name}" if self.name else name)


def require_readable(address: str) -> None:
    """Checks that the bucket can be read, by listing one object.

    Raises:
        InvalidInput, TryAgain: as `opened`.
    """
    place = Address.parse(address)
    with opened(place) as bucket:
        _first(bucket, place.name)


def read_bytes(address: str, most_bytes: int) -> bytes | None:
    """Returns the first `most_bytes` + 1 bytes of an object; None if there is no such object.

    Raises:
        InvalidInput, TryAgain: as `opened`.
    """
    place = Address.parse(address)
    with opened(place) as bucket:
        blob = _first(bucket, place.name)
        if blob is None or blob.name != place.name:
            return None
        # Raw, because the limit does not apply to content that the bucket decompresses.
        content: bytes = blob.download_as_bytes(end=most_bytes, timeout=ANSWER_WITHIN_SECONDS, raw_download=True)
        return content


def read_text(address: str, most_bytes: int) -> str:
    """Returns the text in the first `most_bytes` + 1 bytes of an object.

    Raises:
        InvalidInput: there is no such object, or it is not text; also as `opened`.
        TryAgain: as `opened`.
    """
    content = read_bytes(address, most_bytes)
    if content is None:
        raise InvalidInput(f"The object must exist. Received: {address}")
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"The object must be text. Received: {address}") from None


def _first(bucket: Any, prefix: str) -> Any:
    """Returns the first object whose name begins with `prefix`; None if there is none."""
    return next(
        iter(
            bucket.list_blobs(
                prefix=prefix, max_results=1, timeout=ANSWER_WITHIN_SECONDS, retry=retry(ANSWER_WITHIN_SECONDS)
            )
        ),
        None,
    )


def retry(within_seconds: float) -> Any:
    """Returns the client's retries (429, 5xx, cut connections), with exponential backoff, for `within_seconds`."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(within_seconds)


@contextlib.contextmanager
def opened(address: Address) -> Iterator[Any]:
    """Yields the bucket of `address`, and explains errors of the client in the body.

    Raises:
        InvalidInput, TryAgain: as `explained`.
    """
    with explained(str(address)):
        from google.cloud import storage

        client = storage.Client()
        with contextlib.closing(client):
            yield client.bucket(address.bucket)


@contextlib.contextmanager
def explained(address: str) -> Iterator[None]:
    """Turns errors of the client in the body into the two failures that a user can act on.

    Raises:
        InvalidInput: there are no credentials, no permission, or no such bucket.
        TryAgain: a quota is used up, there is no network, or the server fails.
    """
    import requests
    import urllib3
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    outside = (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException, urllib3.exceptions.HTTPError)
    try:
        yield
    except DefaultCredentialsError:
        raise InvalidInput(
            f"A bucket needs credentials: a service account on the cluster, "
            f"`gcloud auth application-default login` elsewhere. Received: {address}"
        ) from None
    except (*outside, DataCorruption, ConnectionError) as error:
        # The client raises a RetryError when the time for retries is over.
        cause = (error.cause if isinstance(error, exceptions.RetryError) else None) or error
        if isinstance(cause, InvalidResponse):
            cause = exceptions.from_http_response(cause.response)
        said = str(cause)[:300]
        if isinstance(cause, exceptions.TooManyRequests) or (
            isinstance(cause, exceptions.Forbidden) and _QUOTA.search(f"{cause} {cause.errors}")
        ):
            raise TryAgain(f"The bucket's quota is used up for now: {said} Received: {address}") from None
        if isinstance(cause, exceptions.Forbidden | exceptions.Unauthorized):
            raise InvalidInput(
                f"These credentials must have permission in the bucket: {cause.message[:300]}. Received: {address}"
            ) from None
        if isinstance(cause, exceptions.NotFound):
            raise InvalidInput(f"The bucket must exist. Received: {address}") from None
        raise TryAgain(f"The bucket does not answer: {said} Received: {address}") from None

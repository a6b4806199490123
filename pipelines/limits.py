"""Limits on the time and size of answers to Kubeflow's client, which has no limits of its own.

The host may answer with a login page, or a proxy or a stranger may answer in its place. So each request has a size
limit and a time limit for the complete answer, however slowly the bytes arrive. Redirects are not followed, and an
answer must be a JSON object.
"""

from __future__ import annotations

import json
import time
from typing import Any

import kfp_server_api
import urllib3

from gan_core.deadline import within
from gan_core.errors import InvalidInput

ANSWER_WITHIN_SECONDS = 20.0  # for one request, including its retries and connections
MOST_BYTES = 64 * 2**20  # for one answer; a page with the versions of a hundred pipelines has about 10 MiB
_PART_BYTES = 2**16


class LimitedClient(kfp_server_api.ApiClient):  # type: ignore[misc]
    """The SDK's API client with the limits of this module."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.rest_client.pool_manager = _LimitedPool(self.rest_client.pool_manager)

    def deserialize(self, response: Any, response_type: Any) -> Any:
        """Like the SDK's method, but raises InvalidInput for an answer that does not have the API's form."""
        try:
            return super().deserialize(response, response_type)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise _no_api(f"an answer of another form ({error})") from None


class _LimitedPool:
    """The part of urllib3's PoolManager that the SDK uses, with limits."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def request(self, method: str, url: str, **options: Any) -> Any:
        deadline = time.monotonic() + ANSWER_WITHIN_SECONDS
        options |= {"preload_content": False, "redirect": False, "timeout": ANSWER_WITHIN_SECONDS}
        try:
            return within(ANSWER_WITHIN_SECONDS, lambda: _read(self._pool.request(method, url, **options), deadline))
        except TimeoutError:
            raise urllib3.exceptions.TimeoutError from None


def _read(answer: Any, deadline: float) -> Any:
    """Reads the content in parts and returns the answer with it."""
    content = bytearray()
    try:
        while part := answer.read1(_PART_BYTES, decode_content=False):
            content += part
            if len(content) > MOST_BYTES:
                raise _no_api(f"an answer of more than {MOST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise urllib3.exceptions.TimeoutError
    finally:
        answer.close()
    if 300 <= answer.status < 400:
        raise _no_api(f"a redirect to {answer.headers.get('Location', 'nowhere')}")
    if 200 <= answer.status < 300 and not _is_object(content):
        raise _no_api("an answer that is not a JSON object")
    return urllib3.HTTPResponse(bytes(content), headers=answer.headers, status=answer.status, reason=answer.reason)


def _is_object(content: bytes | bytearray) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


def _no_api(received: str) -> InvalidInput:
    return InvalidInput(
        "The host must be a Kubeflow Pipelines API; if it shows a login page, set KF_PIPELINES_TOKEN. "
        f"Received: {received}"
    )

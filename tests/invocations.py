"""Requests to a served model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


def ask(address: str, request: Any) -> tuple[int, Any]:
    """Posts a request, bytes or a value for JSON, to the server's `/invocations`; returns the status and the answer."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    call = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

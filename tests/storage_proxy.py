"""A proxy before the storage emulator: injects faults, and adds rules of the real service that the emulator lacks.

The added rules are `ifGenerationMatch` (412), the generation in a read (404), and the same answer for a repeated
part of a resumable upload.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import http.client
import http.server
import json
import random
import re
import socket
import threading
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

FAULTS = ("429", "503", "cut before", "cut after", "cut within", "delay")
_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/?]+)")


class StorageProxy:
    """Forwards to the emulator at `emulator`.

    Attributes:
        host: the value of STORAGE_EMULATOR_HOST.
        rate: share of the requests that get one of FAULTS, drawn independently for each.
        requests: method and object of each request that was forwarded.
        faults: how often each of FAULTS was injected.
        before: called with method, object and body before a request is forwarded; may wait, or return a fault's name.
        alter: called with method, object and body; returns the body to pass on, for a request or its answer.
    """

    def __init__(self, emulator: str, rate: float = 0.0, seed: int = 0) -> None:
        self._emulator = urllib.parse.urlsplit(emulator).netloc
        self.rate = rate
        self.requests: list[tuple[str, str]] = []
        self.faults: collections.Counter[str] = collections.Counter()
        self.before: Callable[[str, str, bytes], str | None] = lambda *_: None
        self.alter: Callable[[str, str, bytes], bytes] = lambda method, name, body: body
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], Any] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[StorageProxy]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            # The client leaves cut connections to the garbage collector, which then warns.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()

    def fault(self) -> str | None:
        with self._lock:
            return self._random.choice(FAULTS) if self._random.random() < self.rate else None

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Returns the answer of the emulator or of an added rule; handles one request at a time."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        name = object_of(path, query, body)
        part = (query.get("upload_id", ""), headers.get("content-range", ""))
        with self._lock:
            if part in self._answers:
                return self._answers[part]
            self.requests.append((method, name))
            expected = query.get("ifGenerationMatch")
            if expected is not None and name and expected != self._generation(name):
                return _error(412, "conditionNotMet")
            if method == "GET" and "generation" in query and query["generation"] != self._generation(name):
                return _error(404, "notFound")
            answer = self._ask(method, path, headers, body)
            if all(part):
                self._answers[part] = answer
            return answer

    def _generation(self, name: str) -> str:
        bucket, _, key = name.partition("/")
        address = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}"
        status, _, body = self._ask("GET", address, {"host": self._emulator}, b"")
        return str(json.loads(body)["generation"]) if status == 200 else "0"

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._emulator, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: StorageProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()} | {"accept-encoding": "identity"}
        name = object_of(self.path, dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)), body)
        proxy = self.proxy
        fault = proxy.before(self.command, name, body) or proxy.fault()
        if fault:
            proxy.faults[fault] += 1
        if fault in ("429", "503"):
            self._answer(*_error(int(fault), "rateLimitExceeded" if fault == "429" else "backendError"))
        elif fault == "cut before":
            self._cut()
        else:
            if fault == "delay":
                time.sleep(0.3)
            if self.command != "GET":
                body = proxy.alter(self.command, name, body)
            status, answered, content = proxy.forward(self.command, self.path, headers, body)
            if self.command == "GET":
                content = proxy.alter(self.command, name, content)
            if fault == "cut after":
                self._cut()
            else:
                self._answer(status, answered, content, half=fault == "cut within" and len(content) > 1)

    do_GET = _pass_on  # noqa: N815
    do_POST = _pass_on  # noqa: N815
    do_PUT = _pass_on  # noqa: N815
    do_DELETE = _pass_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], body: bytes, half: bool = False) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key not in ("content-length", "connection", "date", "server"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client was killed
            self.wfile.write(body[: len(body) // 2] if half else body)
        if half:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        return


def object_of(path: str, query: dict[str, str], body: bytes) -> str:
    """Returns `<bucket>/<name>` of the object that a request concerns; empty for a listing."""
    if match := _OBJECT.match(path):
        return f"{match['bucket']}/{urllib.parse.unquote(match['name'])}"
    if "/upload/" not in path:
        return ""
    bucket = urllib.parse.urlsplit(path).path.split("/")[-2]
    name = query.get("name") or (found.group(1) if (found := re.search(rb'"name": ?"([^"]*)"', body[:4096])) else b"")
    return f"{bucket}/{name if isinstance(name, str) else name.decode()}" if name else ""


def _error(status: int, reason: str) -> tuple[int, dict[str, str], bytes]:
    error = {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}
    return status, {"content-type": "application/json"}, json.dumps({"error": error}).encode()

"""HTTP servers in the tests' own process."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

ServerType = TypeVar("ServerType", bound=http.server.HTTPServer)


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Answers without logging the requests."""

    def answer(self, status: int, body: bytes) -> None:
        """Sends a whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: ServerType, certificate: tuple[Path, Path] | None = None) -> Iterator[ServerType]:
    """Runs `server` in a thread until the body ends; over https if there are a certificate and its key."""
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

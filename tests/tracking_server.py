"""A real MLflow server that tests start and stop, and a proxy before it that causes failures and delays."""

from __future__ import annotations

import http.client
import http.server
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path


def empty_database(folder: Path) -> Path:
    """Returns an MLflow database with its tables. Tests copy it, because creating the tables is slow."""
    database = folder / "empty.db"
    code = "import sys, mlflow; mlflow.MlflowClient('sqlite:///' + sys.argv[1]).search_experiments()"
    subprocess.run([sys.executable, "-c", code, str(database)], cwd=folder, check=True, capture_output=True)
    return database


class TrackingServer:
    """`mlflow server` on a free port, on a copy of the database `template` or on `database`; both survive a stop."""

    def __init__(self, folder: Path, template: Path, database: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        shutil.copy(template, folder / "mlflow.db")
        self._database = database or f"sqlite:///{folder / 'mlflow.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", self._database]
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text())
            time.sleep(0.2)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Proxy:
    """Forwards requests to a server, makes some of them fail, and delays chosen ones.

    Half of the `failures` get a 503. The server executes the other half, but their answer is cut. A request for which
    `holds` returns true waits before it is forwarded until `released` is set.

    Attributes:
        address: address of the proxy.
        failed: number of requests that failed.
        held: set when a request waits.
        released: set it to let all requests continue.
    """

    def __init__(
        self,
        port: int,
        failures: float = 0.0,
        seed: int = 0,
        holds: Callable[[str, str], bool] = lambda method, path: False,
        carried_out: Callable[[str, str], None] = lambda method, path: None,
    ) -> None:
        self.failed = 0
        self.held, self.released = threading.Event(), threading.Event()
        draws = random.Random(seed)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _pass_on(self) -> None:
                body = self._body()
                if holds(self.command, self.path):
                    proxy.held.set()
                    proxy.released.wait()
                fate = draws.random()
                if fate < failures:
                    proxy.failed += 1
                if fate < failures / 2:
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port)
                dropped = ("host", "transfer-encoding")
                headers = {key: value for key, value in self.headers.items() if key.lower() not in dropped}
                connection.request(self.command, self.path, body, {**headers, "Host": f"127.0.0.1:{port}"})
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                carried_out(self.command, self.path)
                self.close_connection = True
                if fate < failures:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

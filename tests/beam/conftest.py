"""Beam's runners. The tests of this folder are skipped where Beam is not installed; `make test-beam` installs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runners import IN_PROCESS, TWO_PROCESSES

collect_ignore: list[str] = []
try:
    import apache_beam  # noqa: F401
except ImportError:
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py")]


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Beam's portable server Prism; the options of its runner."""
    program = shutil.which("prism", path=f"{os.environ['PATH']}:{Path.home() / 'go' / 'bin'}")
    if not program:
        pytest.skip("no prism: go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0")
    ports = [_free_port(), _free_port()]
    options = ["--job_port", str(ports[0]), "--web_port", str(ports[1])]
    with (tmp_path_factory.mktemp("prism") / "log").open("wb") as log:
        server = subprocess.Popen([program, *options], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(ports[0])
        endpoint = f"localhost:{ports[0]}"
        yield ["--runner", "PortableRunner", "--job_endpoint", endpoint, "--environment_type", "LOOPBACK"]
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["in-process", "two-processes", "prism"])
def runner(request: pytest.FixtureRequest) -> list[str]:
    """The options of each runner."""
    if request.param == "prism":
        options: list[str] = request.getfixturevalue("prism")
        return options
    return IN_PROCESS if request.param == "in-process" else TWO_PROCESSES


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")

"""A server's port is taken before anything slow, and refused in a sentence."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from components.cli.listening_socket import listening_socket
from gan_core.errors import InvalidInput


def test_nobody_else_can_take_the_port_and_connections_wait() -> None:
    with listening_socket("127.0.0.1", 0) as own:
        host, port = own.getsockname()
        with socket.create_connection((host, port)) as early:
            early.sendall(b"hello")
            connection, _ = own.accept()
            assert connection.recv(5) == b"hello"
            connection.close()
        with pytest.raises(InvalidInput, match=rf"Address already in use\. Received: 127\.0\.0\.1, port {port}$"):
            listening_socket(host, port)


@pytest.mark.parametrize("host", ["nosuch.invalid", "256.1.1.1", "192.0.2.1", "a" * 100])
def test_a_host_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^The server needs an address of this machine.*Received: {host}, port 0$"):
        listening_socket(host, 0)


def test_a_used_port_is_refused_before_the_model_is_looked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "components.serve", "--name", "cats", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: The server needs an address of this machine and a free port: Address already in use. Received: "
        f"127.0.0.1, port {port}\n",
    )

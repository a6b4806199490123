"""Addresses from outside, tested against real https servers and real sockets."""

from __future__ import annotations

import http.server
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import self_signed
from local_servers import QuietHandler, serving

from gan_core.errors import InvalidInput
from gan_core.url_guard import PRIVATE_HOSTS_VARIABLE, open_public


class Server(http.server.HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str] = []
        self.location = ""

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}/"


class Handler(QuietHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        self.send_response(302 if self.server.location else 200)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(b"answer")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An https server on this machine, with the permission that an operator would set to allow requests to it."""
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv(PRIVATE_HOSTS_VARIABLE, "mirror.example,127.0.0.1")
    monkeypatch.setenv("no_proxy", "*")
    with serving(Server(), (certificate, key)) as started:
        yield started


def get(address: str, redirects: bool = True) -> bytes:
    with open_public(urllib.request.Request(address), timeout=10, redirects=redirects) as answer:
        content: bytes = answer.read()
        return content


def test_a_listed_private_host_is_allowed(server: Server) -> None:
    assert get(server.address) == b"answer"


def test_an_unlisted_private_host_is_never_connected_to(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PRIVATE_HOSTS_VARIABLE)
    connected: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *arguments: connected.append(arguments))
    with pytest.raises(InvalidInput, match=r"must lead to a public host.*Received: 127\.0\.0\.1 at 127\.0\.0\.1"):
        get(server.address)
    assert (connected, server.requested) == ([], [])


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",  # the cloud's metadata server
        "localhost",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "2130706433",  # 127.0.0.1 as a number
        "0x7f.1",
        "127.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::169.254.169.254]",  # a gateway that translates to IPv4 would reach the metadata server
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:a9fe:a9fe::1]",
    ],
)
def test_every_notation_of_a_private_address_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(InvalidInput, match="must lead to a public host"):
        get(f"https://{host}/latest/meta-data")


def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """This also holds if only one of its addresses is private."""
    monkeypatch.setenv("no_proxy", "*")
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 443)) for place in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    with pytest.raises(InvalidInput, match=r"Received: innocent\.example at 10\.0\.0\.1"):
        get("https://innocent.example/")


def test_the_connection_goes_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second resolution could give another address."""
    monkeypatch.setenv("no_proxy", "*")
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    requested = []

    def create_connection(address: tuple[str, int], *_: object) -> None:
        requested.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(urllib.error.URLError):
        get("https://innocent.example/")
    assert requested == [("93.184.216.34", 443)]


@pytest.mark.parametrize("location", ["https://169.254.169.254/token", "https://localhost:{port}/"])
def test_a_redirect_to_a_private_address_is_refused(server: Server, location: str) -> None:
    server.location = location.format(port=server.server_port)
    with pytest.raises(InvalidInput, match="must lead to a public host"):
        get(server.address)
    assert server.requested == ["/"]


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/", "file:///etc/passwd", "ftp://127.0.0.1/"])
def test_a_redirect_to_another_scheme_is_not_followed(server: Server, location: str) -> None:
    server.location = location.format(port=server.server_port)
    with pytest.raises(OSError, match=r"unknown url type|[Rr]edirect"):
        get(server.address)
    assert server.requested == ["/"]


def test_redirects_are_not_followed_if_they_are_disabled(server: Server) -> None:
    server.location = "/elsewhere"
    with pytest.raises(urllib.error.HTTPError, match="302"):
        get(server.address, redirects=False)
    assert server.requested == ["/"]


@pytest.mark.parametrize(
    "address",
    [
        *("https://user:hunter2@example.com/x", "https://user:a@hunter2@localhost/x", "https:user:hunter2@localhost/x"),
        *(
            "https://user:a/hunter2@localhost/x",
            "https://host:port/x",
            "https:///x",
            "https://host/a b",
            "https://h/\r\nX:",
        ),
    ],
)
def test_an_address_with_a_user_or_without_a_host_is_refused(address: str) -> None:
    """The user would not be sent, and an address parser may take the password for a host."""
    with pytest.raises(InvalidInput, match="must have a host, and neither a user") as refusal:
        get(address)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("address", ["http://example.com/x?key=1", "file:///etc/passwd", "ftp://example.com/"])
def test_only_https_is_opened(address: str) -> None:
    with pytest.raises(InvalidInput, match="must begin with https://") as caught:
        get(address)
    assert "key=1" not in str(caught.value)

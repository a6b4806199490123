"""Restricts which addresses from outside may be opened.

An address in a parameter could lead a step to something that only the step can reach: the cloud's metadata server,
which hands out tokens, or a database behind the firewall. So only https connections to public addresses are opened,
also after redirects, and a connection goes to exactly the address that was checked. The operator of the step can allow
private hosts in PRIVATE_HOSTS_VARIABLE.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import socket
import urllib.parse
import urllib.request
from typing import Any

from gan_core.errors import InvalidInput
from gan_core.masking import masked

_HOLDS_IPV4 = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))
PRIVATE_HOSTS_VARIABLE = "GAN_PIPELINE_PRIVATE_HOSTS"  # names, separated by commas


def require_server(address: str, name: str) -> str:
    """Returns the address of a server, set as `name`, if it is http:// or https:// with a host and no query.

    Raises:
        InvalidInput: it is not such an address.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        # Every parser of addresses ends the host at a slash, even at one in a user's password.
        is_server = is_server and "@" not in parts.path
    except ValueError:
        is_server = False
    if not is_server or "?" in address or "#" in address or re.search(r"[\s\\\x00-\x20\x7f]", address):
        # The message leaves out everything that could be part of a password.
        host = re.split(r"[?#]", address.rpartition("@")[2])[0]
        raise InvalidInput(
            f"{name} must be an http:// or https:// address; it must have a host and no query. In a user's password "
            f"the characters / ? # @ and spaces must be written as %2F and so on. Received: {host!r}"
        )
    return address


def require_token(variable: str) -> str | None:
    """Returns the token in an environment variable; None if the variable is not set or is empty.

    Raises:
        InvalidInput: it has a line break, a space or another character that no token has. The message does not show the
            token.
    """
    token = os.environ.get(variable)
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise InvalidInput(
            f"{variable} must be one token without spaces and line breaks; a file that it is read from often ends with "
            f"one. Received: {len(token)} characters"
        )
    return token or None


def open_public(request: urllib.request.Request, timeout: float, redirects: bool = True) -> Any:
    """Opens an https address, as `urllib.request.urlopen` does.

    Raises:
        InvalidInput: it is not https, or leads to an address that is not public.
        OSError, http.client.HTTPException: the server does not answer, or refuses.
    """
    if request.type != "https":
        raise InvalidInput(f"The address must begin with https://. Received: {masked(request.full_url)}")
    try:
        parts = urllib.parse.urlsplit(request.full_url)
        is_plain = bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        is_plain = False
    if not is_plain or re.search(r"[\x00-\x20\x7f]", request.full_url):
        raise InvalidInput(
            "The address must have a host, and neither a user with a password nor spaces: they would not be sent. "
            f"Received: {masked(request.full_url)}"
        )
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),  # refuses redirects to other schemes
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _PublicHandler(),
        *([urllib.request.HTTPRedirectHandler()] if redirects else []),
    ):
        opener.add_handler(handler)
    return opener.open(request, timeout=timeout)


class _PublicHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_PublicConnection, request)


class _PublicConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        # A proxy resolves the name itself, and its operator decides what it may reach.
        if not self._tunnel_host:  # type: ignore[attr-defined]
            self._create_connection = _connect_to_public
        super().connect()


def _connect_to_public(address: tuple[str, int], *arguments: Any) -> socket.socket:
    """`socket.create_connection` that resolves the name only once, so that it cannot change after the check."""
    host, port = address
    found = [entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if host not in os.environ.get(PRIVATE_HOSTS_VARIABLE, "").split(","):
        for place in map(str, found):
            if not _is_public(place):
                raise InvalidInput(
                    f"An address must lead to a public host, or to one that {PRIVATE_HOSTS_VARIABLE} names. "
                    f"Received: {host} at {place}"
                )
    return socket.create_connection((str(found[0]), port), *arguments)


def _is_public(place: str) -> bool:
    address = ipaddress.ip_address(place.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # Translating networks connect to the embedded IPv4 address. In Teredo and 6to4 it is that of the relay or
        # sender.
        if address.teredo or address.sixtofour:
            return False
        if address.ipv4_mapped or any(address in network for network in _HOLDS_IPV4):
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.is_global and not address.is_multicast

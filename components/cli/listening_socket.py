"""Takes the port of a server before anything slow is loaded."""

from __future__ import annotations

import socket

from gan_core.errors import InvalidInput


def listening_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; connections wait until a server takes them.

    Args:
        host: a name or an address of this machine.
        port: 0 for any free port.

    Raises:
        InvalidInput: the host is none of this machine's, or the port is in use or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen()
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"The server needs an address of this machine and a free port: {reason}. Received: {host}, port {port}"
        ) from None
    return bound

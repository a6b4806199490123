"""A deadline for a call to a server that sends a byte now and then."""

from __future__ import annotations

import socket
import threading

import pytest

from gan_core.deadline import within


def test_a_result_and_an_exception_come_through() -> None:
    assert within(5, lambda: "result") == "result"
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)


def test_an_answer_that_drips_ends_in_time() -> None:
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            while not ended.wait(0.02):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip)
        thread.start()

        def read_all() -> None:
            with socket.create_connection(listening.getsockname(), timeout=5) as connection:
                while connection.recv(1):
                    pass

        with pytest.raises(TimeoutError, match=r"no whole answer within 0\.2 seconds"):
            within(0.2, read_all)
        ended.set()
        thread.join()

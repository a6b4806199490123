"""Tests the time limit of a call, with a server that sends one byte at a time."""

from __future__ import annotations

import socket
import threading

import pytest

from gan_core.deadline import within


def test_results_and_exceptions_are_passed_on() -> None:
    assert within(5, lambda: "result") == "result"
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)


def test_a_slow_answer_is_abandoned_after_the_time_limit() -> None:
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

        with pytest.raises(TimeoutError, match=r"no complete answer within 0\.2 seconds"):
            within(0.2, read_all)
        ended.set()
        thread.join()

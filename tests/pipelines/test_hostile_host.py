"""A host that is not Kubeflow, or whose answer never ends, gives one sentence within a limited time."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from local_servers import QuietHandler, serving

from pipelines import follow, limits, server, submit
from tests.pipelines.test_command_line import refused, run

# Kinds of answers of the host; SILENT means that it does not answer.
ENDLESS, DRIP, HEADERS, SILENT = object(), object(), object(), object()


class Host(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answers: tuple[object, object] = (b"{}", b"{}")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Ignores clients that close the connection."""


class Handler(QuietHandler):
    server: Host

    def do_GET(self) -> None:
        answer = self.server.answers["healthz" not in self.path]
        if answer is SILENT:
            self.server.ended.wait(30)
            return
        if answer is HEADERS:
            while not self.server.ended.wait(0.05):
                self.wfile.write(b"H")
            return
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        self.send_response(status)
        if status in (302, 307):
            self.send_header("Location", "https://login.example.com/?state=hunter2")
        if body in (ENDLESS, DRIP):
            self.end_headers()
            while not self.server.ended.wait(0.05 if body is DRIP else 0):
                self.wfile.write(b" " * (1 if body is DRIP else 2**16))
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(limits, "ANSWER_WITHIN_SECONDS", 0.3)
    monkeypatch.setattr(limits, "MOST_BYTES", 2**20)
    monkeypatch.setattr(server, "MOST_PAGES", 3)
    monkeypatch.delenv("KF_PIPELINES_TOKEN", raising=False)
    with serving(Host()) as running:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
        yield running
        running.ended.set()


ANSWERS = [
    (SILENT, 75, "does not answer"),
    (DRIP, 75, "does not answer"),
    (HEADERS, 75, "does not answer"),
    (ENDLESS, 2, "more than 1048576 bytes"),
    (b"null", 2, "not a JSON object"),
    (b"[]", 2, "not a JSON object"),
    (b"5", 2, "not a JSON object"),
    (b"[" * 100_000, 2, "not a JSON object"),
    (b"", 2, "not a JSON object"),
    (b"<html>log in</html>", 2, "login page"),
    ((302, b""), 2, "a redirect to https://login.example.com/?…"),
    ((307, b""), 2, "a redirect to https://login.example.com/?…"),
]


@pytest.mark.parametrize(("answer", "code", "message"), ANSWERS)
@pytest.mark.parametrize("is_late", [False, True], ids=["health check", "listing"])
def test_an_invalid_answer_gives_one_sentence(capsys, host, compiled, answer, code, message, is_late) -> None:
    host.answers = (b"{}", answer) if is_late else (answer, b"{}")
    assert message in refused(capsys, code, "submit", "--file", str(compiled))


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (b'{"experiments": 5}', "of another form"),
        (b'{"experiments": [["a"]]}', "one of none yet"),
        (b'{"experiments": [null, {}, {"display_name": null}]}', "one of none yet"),
        (b'{"experiments": [], "next_page_token": "more"}', "must end after at most 3 pages"),
        (b'{"experiments": [{"display_name": "Default", "created_at": "yesterday"}]}', "refuses the request: 0 Failed"),
    ],
)
def test_a_listing_of_another_form_is_refused(capsys, host, compiled, listing, message) -> None:
    host.answers = (b"{}", listing)
    assert message in refused(capsys, 2, "submit", "--file", str(compiled))


def test_endless_pages_are_refused_even_if_each_is_new(monkeypatch) -> None:
    class Page:
        def __init__(self, number: int) -> None:
            self.items, self.next_page_token = [number], str(number + 1)

    monkeypatch.setattr(server, "MOST_PAGES", 3)
    listing = server.pages(lambda page_token, page_size: Page(int(page_token or 0)), "items")
    assert [next(listing) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(server.InvalidInput, match="at most 3 pages"):
        next(listing)


def test_wait_gives_up_if_the_host_stops_answering(capsys, server, compiled, monkeypatch) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(follow, "LOST_CALLS", 2)
    monkeypatch.setattr(limits, "ANSWER_WITHIN_SECONDS", 0.5)
    server.handle_error = lambda *_: None  # clients may close the connection after this test
    real = submit.submit

    def stop_answering(client, request, values):
        run_id = real(client, request, values)
        server.lock.acquire()
        return run_id

    monkeypatch.setattr(submit, "submit", stop_answering)
    try:
        assert "does not answer" in refused(capsys, 75, "submit", "--file", str(compiled), "--wait")
    finally:
        server.lock.release()


@pytest.mark.parametrize(
    "address",
    [
        *("https://user:x/hunter2@host", "http://user:x hunter2@host", "http://host/?token=hunter2", "http://"),
        *("user:hunter2@host", "http://host:port", "http://host:0x1", "http://ho\nst", "http://[::1", "ftp://host"),
        *("http://host/#hunter2", "http:host", "http:///path", "http://host:99999", "http://host\\@evil"),
    ],
)
def test_an_invalid_address_is_refused_without_showing_its_secret(capsys, compiled, address) -> None:
    error = refused(capsys, 2, "submit", "--file", str(compiled), "--host", address)
    assert "must be an http:// or https:// address" in error
    assert "hunter2" not in error


@pytest.mark.parametrize("token", ["hunter2\n", "\nhunter2", "hun ter2", "hunter2\t", "hunter2é"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(capsys, host, compiled, monkeypatch, token) -> None:
    monkeypatch.setenv("KF_PIPELINES_TOKEN", token)
    error = refused(capsys, 2, "submit", "--file", str(compiled))
    assert "KF_PIPELINES_TOKEN must be one token without spaces and line breaks" in error
    assert "ter2" not in error


def test_an_answer_without_the_id_of_the_run_is_an_error(capsys, host, compiled) -> None:
    host.answers = (b"{}", b'{"experiments": [{"display_name": "Default", "experiment_id": "1"}]}')
    assert run(capsys, "submit", "--file", str(compiled))[0] == 75

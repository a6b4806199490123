"""The registration lock, on a real registry."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tracking_server import TrackingServer

from components.registry.registration_lock import _OLD_QUEUE, registration_lock
from components.tracking.server import connect
from gan_core.errors import TryAgain

MODEL = "queue"


@pytest.fixture
def client(project: object, mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setattr("components.registry.registration_lock.POLL_SECONDS", 0.02)
    client = connect()
    client.create_registered_model(MODEL)
    yield client
    client.delete_registered_model(MODEL)


def tags() -> dict[str, str]:
    return dict(connect().get_registered_model(MODEL).tags)


def test_only_one_registration_holds_the_lock(client: Any) -> None:
    """Registrations increment a counter slowly, and no increment may be lost."""
    client.set_registered_model_tag(MODEL, "count", "0")
    together, failures = threading.Barrier(6), []

    def register(number: int) -> None:
        own = connect()
        together.wait()
        try:
            for _ in range(3):
                with registration_lock(own, MODEL, f"sha256-{number}"):
                    count = int(own.get_registered_model(MODEL).tags["count"])
                    time.sleep(0.02)
                    own.set_registered_model_tag(MODEL, "count", str(count + 1))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=register, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tags(), failures) == ({"count": "18"}, [])


def test_a_ticket_left_by_a_kill_does_not_block_the_repeated_registration(client: Any) -> None:
    client.set_registered_model_tag(MODEL, "registering.sha256-mine.dead", "1")
    with registration_lock(client, MODEL, "sha256-mine"):
        assert list(tags().values()) == ["2"]
    assert not tags()


def start_waiting(client: Any) -> tuple[threading.Thread, threading.Event]:
    """Starts the registration c, which waits for b with ticket 2. The event is set when c holds the lock."""
    entered = threading.Event()
    client.set_registered_model_tag(MODEL, "registering.sha256-b.live", "1")

    def register() -> None:
        with registration_lock(connect(), MODEL, "sha256-c"):
            entered.set()

    thread = threading.Thread(target=register)
    thread.start()
    while len(tags()) < 2 or tags()[max(tags())] != "2":
        time.sleep(0.02)
    return thread, entered


@pytest.mark.parametrize("ticket", ["1", "2", "choosing a number", "?"])
def test_the_lower_ticket_goes_first(client: Any, ticket: str) -> None:
    thread, entered = start_waiting(client)
    client.set_registered_model_tag(MODEL, "registering.sha256-b.live", ticket)
    assert not entered.wait(0.3)
    client.delete_registered_model_tag(MODEL, "registering.sha256-b.live")
    thread.join()
    assert entered.is_set()
    assert not tags()


@pytest.mark.parametrize(
    ("description", "source", "deleted"),
    [
        (_OLD_QUEUE, "gs://turns/none", True),
        (_OLD_QUEUE, None, True),
        (_OLD_QUEUE, "gs://bucket/model", False),
        ("Cats that take turns.", "gs://turns/none", False),
        (None, None, False),
    ],
)
def test_only_the_queue_of_earlier_versions_is_deleted(
    client: Any, monkeypatch: pytest.MonkeyPatch, description: str | None, source: str | None, deleted: bool
) -> None:
    monkeypatch.setattr("components.registry.registration_lock.WAIT_SECONDS", -1.0)  # every ticket counts as old
    old = f"{MODEL}.turns"
    client.create_registered_model(old, description=description)
    if source:
        client.create_model_version(old, source)
    with registration_lock(client, MODEL, "sha256-a"):
        pass
    left = [model.name for model in client.search_registered_models() if model.name == old]
    assert left == ([] if deleted else [old])
    if not deleted:
        client.delete_registered_model(old)


def test_an_old_queue_with_a_recent_ticket_is_kept(client: Any) -> None:
    old = f"{MODEL}.turns"
    client.create_registered_model(old, description=_OLD_QUEUE)
    client.create_model_version(old, "gs://turns/none")
    with registration_lock(client, MODEL, "sha256-a"):
        pass
    assert client.get_registered_model(old)
    client.delete_registered_model(old)


def test_a_waiting_registration_that_was_considered_dead_queues_again(client: Any) -> None:
    """Another process deletes the ticket of a process that is suspended."""
    thread, entered = start_waiting(client)
    client.set_registered_model_tag(MODEL, "registering.sha256-d.live", "3")
    client.delete_registered_model_tag(MODEL, max(tag for tag in tags() if ".sha256-c." in tag))
    client.delete_registered_model_tag(MODEL, "registering.sha256-b.live")
    assert not entered.wait(0.5)
    client.delete_registered_model_tag(MODEL, "registering.sha256-d.live")
    thread.join()
    assert entered.is_set()
    assert not tags()


def test_a_lock_holder_that_was_considered_dead_gets_an_error(client: Any) -> None:
    with registration_lock(client, MODEL, "sha256-a") as require_lock:
        require_lock()
        # A repetition of the same registration considers the first one dead.
        with registration_lock(connect(), MODEL, "sha256-a"), pytest.raises(TryAgain, match="same command again"):
            require_lock()

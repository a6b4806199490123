"""The queue of registrations, on a real registry."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tracking_server import TrackingServer

from components.registry import registration_lock as turn_module
from components.registry.registration_lock import turn
from components.tracking.server import connect
from gan_core.errors import TryAgain

MODEL = "queue"


@pytest.fixture
def client(project: object, mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setattr(turn_module, "ASK_EVERY_SECONDS", 0.02)
    client = connect()
    client.create_registered_model(MODEL)
    yield client
    client.delete_registered_model(MODEL)


def tags() -> dict[str, str]:
    return dict(connect().get_registered_model(MODEL).tags)


def test_of_many_at_once_one_has_the_turn(client: Any) -> None:
    """Reads a counter and writes it one higher, as slowly as a registration: not one count may be lost."""
    client.set_registered_model_tag(MODEL, "count", "0")
    together, failures = threading.Barrier(6), []

    def register(number: int) -> None:
        own = connect()
        together.wait()
        try:
            for _ in range(3):
                with turn(own, MODEL, f"sha256-{number}"):
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


def test_a_ticket_that_a_kill_left_does_not_hold_up_its_own_repetition(client: Any) -> None:
    client.set_registered_model_tag(MODEL, "registering.sha256-mine.dead", "1")
    with turn(client, MODEL, "sha256-mine"):
        assert list(tags().values()) == ["2"]
    assert not tags()


def waiting(client: Any) -> tuple[threading.Thread, threading.Event]:
    """Starts the registration c, which waits for b with the number 2; the event says when it has its turn."""
    entered = threading.Event()
    client.set_registered_model_tag(MODEL, "registering.sha256-b.live", "1")

    def register() -> None:
        with turn(connect(), MODEL, "sha256-c"):
            entered.set()

    thread = threading.Thread(target=register)
    thread.start()
    while len(tags()) < 2 or tags()[max(tags())] != "2":
        time.sleep(0.02)
    return thread, entered


@pytest.mark.parametrize("ticket", ["1", "2", "choosing a number", "?"])
def test_whoever_came_before_goes_first(client: Any, ticket: str) -> None:
    thread, entered = waiting(client)
    client.set_registered_model_tag(MODEL, "registering.sha256-b.live", ticket)
    assert not entered.wait(0.3)
    client.delete_registered_model_tag(MODEL, "registering.sha256-b.live")
    thread.join()
    assert entered.is_set()
    assert not tags()


@pytest.mark.parametrize(
    ("description", "source", "goes"),
    [
        (turn_module._OLD_QUEUE, "gs://turns/none", True),
        (turn_module._OLD_QUEUE, None, True),
        (turn_module._OLD_QUEUE, "gs://bucket/model", False),
        ("Cats that take turns.", "gs://turns/none", False),
        (None, None, False),
    ],
)
def test_only_the_queue_of_earlier_versions_is_deleted(
    client: Any, monkeypatch: pytest.MonkeyPatch, description: str | None, source: str | None, goes: bool
) -> None:
    monkeypatch.setattr(turn_module, "WAIT_SECONDS", -1.0)  # nothing is recent
    old = f"{MODEL}.turns"
    client.create_registered_model(old, description=description)
    if source:
        client.create_model_version(old, source)
    with turn(client, MODEL, "sha256-a"):
        pass
    left = [model.name for model in client.search_registered_models() if model.name == old]
    assert left == ([] if goes else [old])
    if not goes:
        client.delete_registered_model(old)


def test_a_ticket_that_is_still_in_the_old_queue_is_left(client: Any) -> None:
    old = f"{MODEL}.turns"
    client.create_registered_model(old, description=turn_module._OLD_QUEUE)
    client.create_model_version(old, "gs://turns/none")
    with turn(client, MODEL, "sha256-a"):
        pass
    assert client.get_registered_model(old)
    client.delete_registered_model(old)


def test_a_registration_that_was_taken_for_dead_while_it_waited_queues_again(client: Any) -> None:
    """As a stopped process that goes on: whoever took its ticket away has the turn now."""
    thread, entered = waiting(client)
    client.set_registered_model_tag(MODEL, "registering.sha256-d.live", "3")
    client.delete_registered_model_tag(MODEL, max(tag for tag in tags() if ".sha256-c." in tag))
    client.delete_registered_model_tag(MODEL, "registering.sha256-b.live")
    assert not entered.wait(0.5)
    client.delete_registered_model_tag(MODEL, "registering.sha256-d.live")
    thread.join()
    assert entered.is_set()
    assert not tags()


def test_a_registration_that_was_taken_for_dead_in_its_turn_learns_it(client: Any) -> None:
    with turn(client, MODEL, "sha256-a") as require_turn:
        require_turn()
        # The same is registered again, so it takes this one for dead.
        with turn(connect(), MODEL, "sha256-a"), pytest.raises(TryAgain, match="same command again"):
            require_turn()

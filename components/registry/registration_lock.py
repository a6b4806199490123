"""A lock that lets one registration at a time compare with the champion and move the aliases, on any MLflow server.

MLflow has no compare-and-set, so this is Lamport's bakery algorithm. It only needs values that one process writes and
all processes read: here, tags of the registered model. A registration's tag, its ticket, exists only while the
registration waits or decides.

Reference: Lamport 1974, "A new solution of Dijkstra's concurrent programming problem".
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gan_core.errors import TryAgain

WAIT_SECONDS = 300.0  # a registration that shows no change for longer is considered dead
POLL_SECONDS = 0.5  # how often a waiting registration reads the tickets
_PREFIX = "registering."
_CHOOSING = "choosing a number"
# Versions before 0.2 queued in a second model, `<name>.turns`, whose versions were tickets.
_OLD_QUEUE = "Whose turn it is to move the aliases: the lowest version's. Empty while nobody registers."
_OLD_TICKET = "gs://turns/none"


@contextlib.contextmanager
def registration_lock(client: Any, model: str, identity: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of the registered model `model`, which must exist.

    Each process takes a number above all numbers that it sees, and the lowest number goes first. While a process
    chooses, the others wait for it. Two processes may choose the same number; then the lower tag key goes first.

    Args:
        client: MLflow's client.
        model: the registered model.
        identity: identity of the registration. The ticket of a killed process is deleted when the same registration is
            repeated, or when another process has waited WAIT_SECONDS for it.

    Yields:
        A check to call before the aliases are moved. It raises TryAgain if other processes have considered this one
        dead, because another process may then hold the lock.
    """
    _delete_old_queue(client, model)
    owner = f"{_PREFIX}{identity}."
    ticket = f"{owner}{uuid.uuid4().hex}"

    def require_lock() -> None:
        if ticket not in _tickets(client, model):
            raise TryAgain(
                "This registration lost its lock: another one considered it dead. Run the same command again."
            )

    try:
        number = _take_number(client, model, ticket)
        for left_behind in [key for key in _tickets(client, model) if key.startswith(owner) and key != ticket]:
            client.delete_registered_model_tag(model, left_behind)
        awaited, since = None, 0.0
        while True:
            tickets = _tickets(client, model)
            if ticket not in tickets:  # this process paused for so long that others considered it dead
                number, awaited = _take_number(client, model, ticket), None
                continue
            first = _first_before(tickets, number, ticket)
            if first is None:
                break
            if first != awaited:
                awaited, since = first, time.monotonic()
            elif time.monotonic() - since > WAIT_SECONDS:
                client.delete_registered_model_tag(model, first[0])
            time.sleep(POLL_SECONDS)
        yield require_lock
    finally:
        client.delete_registered_model_tag(model, ticket)


def _take_number(client: Any, model: str, ticket: str) -> int:
    client.set_registered_model_tag(model, ticket, _CHOOSING)
    number = 1 + max((_number(value) for value in _tickets(client, model).values()), default=0)
    client.set_registered_model_tag(model, ticket, str(number))
    return number


def _tickets(client: Any, model: str) -> dict[str, str]:
    tags = client.get_registered_model(model).tags
    return {key: value for key, value in tags.items() if key.startswith(_PREFIX)}


def _first_before(tickets: Mapping[str, str], number: int, ticket: str) -> tuple[str, str] | None:
    """Returns the first ticket before `ticket`, ordered by number and key; a ticket without a number comes first."""
    before = [(_number(value), key, value) for key, value in tickets.items() if key != ticket]
    first = min(before, default=None)
    return first[1:] if first and first[:2] < (number, ticket) else None


def _number(value: str) -> int:
    """Returns the ticket's number; 0, which is below all numbers, while the number is being chosen."""
    return int(value) if value.isdecimal() else 0


def _delete_old_queue(client: Any, model: str) -> None:
    """Deletes the model that earlier versions of this project used as a queue, unless a registration waits in it."""
    from mlflow.exceptions import MlflowException

    name = f"{model}.turns"
    try:
        if client.get_registered_model(name).description != _OLD_QUEUE:
            return
        recently = (time.time() - WAIT_SECONDS) * 1000
        tickets = client.search_model_versions(f"name = '{name}'")
        if all(ticket.source == _OLD_TICKET and ticket.creation_timestamp < recently for ticket in tickets):
            client.delete_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise

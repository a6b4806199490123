"""One process at a time has the lease on an address, whether others end, are killed, stall or cannot connect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components.storage import bucket, lease
from components.storage.bucket import Address
from components.storage.lease import WRITER, Lease
from gan_core.errors import TryAgain
from gan_core.training.checkpoints import InUse

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Address:
    return Address(BUCKET, f"leases/{request.node.name}")


@pytest.fixture
def claimed(proxy: StorageProxy, address: Address) -> Iterator[Callable[[], Lease]]:
    """Returns a function that claims the lease; all leases are released in the end."""
    leases = []

    def claim() -> Lease:
        leases.append(Lease(address))
        leases[-1].claim()
        return leases[-1]

    yield claim
    proxy.before = lambda *_: None
    for each in leases:
        each.release()


def generation(address: Address) -> int | None:
    with bucket.opened(address) as opened:
        blob = opened.get_blob((address / WRITER).name)
    return blob.generation if blob else None


def write_writer(address: Address) -> None:
    with bucket.opened(address) as opened:
        opened.blob((address / WRITER).name).upload_from_string("another process")


def claim_after_a_wait(waiting: Lease) -> int:
    """Claims as a waiting process does, and returns how often it had to wait."""
    for waits in range(10**6):
        try:
            waiting.claim()
        except InUse:
            time.sleep(0.01)
        else:
            return waits
    raise AssertionError


def test_the_next_process_has_a_released_lease_at_once(claimed: Callable[[], Lease], address: Address) -> None:
    for _ in range(3):
        first = claimed()
        with pytest.raises(InUse, match=f"^Another process trains with these checkpoints. Received: {address}$"):
            claimed()
        first.release()
        assert generation(address) is None


def test_a_lease_is_renewed_until_it_is_released(
    claimed: Callable[[], Lease], address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    claimed()
    found = set()
    while len(found) < 4:
        found.add(generation(address))
    with pytest.raises(InUse):
        claimed()


@pytest.mark.parametrize("left_by", ["a killed process", "an earlier version"])
def test_a_process_that_shows_no_sign_of_life_is_displaced(
    left_by: str,
    claimed: Callable[[], Lease],
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if left_by == "a killed process":
        claimed()  # it would renew the lease only after RENEW_SECONDS
    else:
        write_writer(address)
    monkeypatch.setattr(lease, "LOST_SECONDS", 0.5)
    waiting = Lease(address)
    assert claim_after_a_wait(waiting) > 0
    assert "The other process gave no sign of life for 0 s; this one takes over." in caplog.text
    waiting.release()


def test_a_sign_of_life_starts_the_time_again(
    proxy: StorageProxy, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**6, 7))  # a claim reads the clock once, and again if it finds another generation
    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    write_writer(address)
    waiting = Lease(address)
    for _ in range(5):
        with pytest.raises(InUse):
            waiting.claim()
    write_writer(address)
    assert claim_after_a_wait(waiting) == 9  # 63 of the clock's seconds
    waiting.release()


def test_one_of_many_waiting_processes_takes_over(
    proxy: StorageProxy, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_writer(address)
    waiting = [Lease(address) for _ in range(6)]
    for each in waiting:
        with pytest.raises(InUse):
            each.claim()
    monkeypatch.setattr(lease, "LOST_SECONDS", 0.0)
    barrier, results = threading.Barrier(len(waiting)), []

    def claim(each: Lease) -> None:
        barrier.wait()
        try:
            each.claim()
        except InUse:
            results.append("in use")
        else:
            results.append("claimed")

    proxy.before = lambda method, name, body: (barrier.wait(), None)[1] if method == "POST" else None
    threads = [threading.Thread(target=claim, args=(each,)) for each in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.before = lambda *_: None
    assert sorted(results) == ["claimed", *["in use"] * 5]
    for each in waiting:
        each.release()
    assert generation(address) is None


@pytest.mark.parametrize("released", [False, True])
def test_a_stalled_process_notices_that_another_one_took_over(
    released: bool, proxy: StorageProxy, claimed: Callable[[], Lease], address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = claimed()
    monkeypatch.setattr(lease, "LOST_SECONDS", 0.1)
    other = Lease(address)
    claim_after_a_wait(other)
    if released:
        other.release()
    with bucket.opened(address) as opened, pytest.raises(TryAgain, match="wrote the same object"):
        stalled.renew(opened)
    assert "its newest one counts, and this process stops" in str(stalled.lost)
    stalled.release()
    assert (generation(address) is None) == released  # it deletes only its own object
    other.release()


@pytest.fixture
def _short_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "TRANSFER_WITHIN_SECONDS", 0.1)


@pytest.mark.usefixtures("_short_transfers")
def test_an_outage_while_renewing_only_warns(
    proxy: StorageProxy,
    claimed: Callable[[], Lease],
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    holder = claimed()
    proxy.before = lambda *_: "503"
    with caplog.at_level(logging.WARNING):
        while "The bucket does not know that this training runs; it continues: The bucket does not" not in caplog.text:
            time.sleep(0.01)
    proxy.before = lambda *_: None
    before = generation(address)
    while generation(address) == before:
        time.sleep(0.01)
    assert holder.lost is None


@pytest.mark.usefixtures("_short_transfers")
def test_an_outage_at_the_end_costs_the_next_process_a_wait(
    proxy: StorageProxy, claimed: Callable[[], Lease], caplog: pytest.LogCaptureFixture
) -> None:
    holder = claimed()
    proxy.before = lambda *_: "503"
    holder.release()
    assert "The next start waits for 60 s: The bucket does not answer" in caplog.text
    proxy.before = lambda *_: None
    with pytest.raises(InUse):
        claimed()

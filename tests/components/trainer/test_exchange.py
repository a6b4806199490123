"""What a step's pod and the hosts of its TrainJob exchange, in a folder and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import blobs, write_dataset
from storage_emulator import BUCKET, storage_emulator

from components.storage import bucket, output_kinds, transfer
from components.storage.bucket import Address
from components.storage.outputs import Output
from components.storage.volume import VARIABLE
from components.trainer.exchange import Exchange

CONTENT = "images_seen,loss\n1,2\n"


@pytest.fixture(params=["folder", "bucket"])
def checkpoints(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    if request.param == "folder":
        yield tmp_path / "checkpoints"
        return
    with storage_emulator() as host:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        yield Address(BUCKET, "checkpoints")


def files_in(place: object) -> list[str]:
    if isinstance(place, Path):
        return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    assert isinstance(place, Address)
    with bucket.opened(place) as opened:
        return sorted(blob.name.removeprefix(f"{place.name}/") for blob in opened.list_blobs(prefix=f"{place.name}/"))


def test_the_hosts_get_the_data_and_the_step_gets_the_outputs(checkpoints, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "prepared", blobs(8), blobs(4, seed=1))
    outputs = {"history": Output(tmp_path / "out" / "history", output_kinds.HISTORY)}
    exchange = Exchange(checkpoints, "gan-1")

    place = exchange.offer(dataset)
    assert exchange.offer(dataset) == place  # a second try of the step
    copied = Path(place) if isinstance(checkpoints, Path) else tmp_path / "copied"
    if isinstance(checkpoints, Address):
        transfer.download(Address.parse(place), copied)
    assert files_in(copied) == files_in(dataset)
    assert all((copied / name).read_bytes() == (dataset / name).read_bytes() for name in files_in(dataset))

    assert not exchange.has(outputs)
    written = exchange.places(outputs)["history"]
    if isinstance(checkpoints, Path):
        Path(written).write_text(CONTENT)
    else:
        (tmp_path / "history.csv").write_text(CONTENT)
        transfer.upload(tmp_path / "history.csv", Address.parse(written))
    assert exchange.has(outputs)
    exchange.collect(outputs)
    assert (tmp_path / "out" / "history").read_text() == CONTENT

    exchange.remove()
    assert files_in(checkpoints) == []
    assert not exchange.has(outputs)  # a try after this one must not take nothing for the outputs


def test_two_trainjobs_share_nothing(tmp_path: Path) -> None:
    first, second = (Exchange(tmp_path, name) for name in ("gan-1", "gan-2"))
    first.offer(write_dataset(tmp_path / "prepared", blobs(8), blobs(4, seed=1)))
    second.remove()
    assert (tmp_path / "trainjobs" / "gan-1" / "dataset").is_dir()


def test_data_on_the_volume_that_the_hosts_mount_are_not_copied(checkpoints, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "volume"))
    dataset = write_dataset(tmp_path / "volume" / "prepared-0", blobs(8), blobs(4, seed=1))
    assert Exchange(checkpoints, "gan-1").offer(dataset) == str(dataset)
    assert files_in(checkpoints) == []

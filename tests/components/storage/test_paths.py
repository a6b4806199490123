"""Files and folders copied to a bucket and back, through a proxy with the faults of networks and services."""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from local_servers import QuietHandler, serving
from storage_emulator import BUCKET
from storage_proxy import FAULTS, StorageProxy

from components.storage import bucket, objects, paths, transfer
from components.storage import output_kinds as kinds
from components.storage.bucket import Address
from components.storage.incomplete import INCOMPLETE, files_of_interrupted, marker_content
from gan_core.errors import InvalidInput, TryAgain
from gan_core.output_files import MODEL_FILE

ROOT = Path(__file__).resolve().parents[3]
# The client leaves cut connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Address:
    return Address(BUCKET, f"tests/{abs(hash(request.node.name))}")


def make_folder(folder: Path, seed: int, small: int = 40, large_bytes: int = 0) -> Path:
    """Writes small files, one of them empty, into subfolders of `folder`, and a large file into `folder`."""
    draws = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for number in range(small):
        path = folder / f"{number % 3}" / f"file {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draws.bytes(number * 37))
    if large_bytes:
        (folder / "large.bin").write_bytes(draws.bytes(large_bytes))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(emulator: str, address: Address) -> list[str]:
    """Returns the names of the objects below `address`, without the proxy."""
    from google.cloud import storage as google_storage

    client = google_storage.Client(client_options={"api_endpoint": emulator}, use_auth_w_custom_endpoint=False)
    return [blob.name for blob in client.bucket(address.bucket).list_blobs(prefix=f"{address.name}/")]


def test_a_folder_is_always_complete_while_one_request_in_five_fails(
    proxy: StorageProxy, emulator: str, address: Address, tmp_path: Path
) -> None:
    old = make_folder(tmp_path / "old", seed=1, small=5)
    new = make_folder(tmp_path / "new", seed=2, small=60, large_bytes=2 * objects.CHUNK_BYTES + 12345)
    old_files = contents(old)
    transfer.upload(old, address)
    seen: list[dict[str, bytes]] = []
    refusals: list[str] = []
    done, read_once = threading.Event(), threading.Event()

    def read_all_the_time() -> None:
        while not done.is_set():
            target = tmp_path / f"seen {len(seen)} {len(refusals)}"
            try:
                transfer.download(address, target)
            except TryAgain as error:
                refusals.append(str(error))
            else:
                seen.append(contents(target))
                read_once.set()

    proxy.rate = 0.2
    reader = threading.Thread(target=read_all_the_time)
    reader.start()
    try:
        assert read_once.wait(20), refusals[-3:]
        transfer.upload(new, address, replaced=old_files.keys())
        transfer.download(address, tmp_path / "back")
    finally:
        done.set()
        reader.join()
    assert contents(tmp_path / "back") == contents(new)
    assert not [one for one in refusals if "was changed while it was read" not in one and "must be complete" not in one]
    assert all(found in (old_files, contents(new)) for found in seen)
    assert set(proxy.faults) == set(FAULTS)
    assert {name.removeprefix(f"{address.name}/") for name in stored(emulator, address)} == contents(new).keys()


_UPLOAD = """
import sys
from pathlib import Path
from components.storage.bucket import Address
from components.storage.transfer import upload
upload(Path(sys.argv[1]), Address.parse(sys.argv[2]), kind="a generator")
"""


def test_a_killed_upload_is_not_readable_and_can_be_completed(
    proxy: StorageProxy, address: Address, tmp_path: Path
) -> None:
    new = make_folder(tmp_path / "new", seed=2, small=30)
    enough, release = threading.Event(), threading.Event()

    def hold_the_second_half(method: str, name: str, body: bytes) -> None:
        if method == "POST" and len([1 for _, name in proxy.requests[started:] if name.endswith(".bin")]) >= 15:
            enough.set()
            release.wait()

    started = len(proxy.requests)
    proxy.before = hold_the_second_half
    process = subprocess.Popen([sys.executable, "-c", _UPLOAD, new, str(address)], cwd=ROOT)
    assert enough.wait(60)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    proxy.before = lambda *_: None
    release.set()

    with pytest.raises(TryAgain, match=re.escape(f"run it again. Received: {address}")):
        transfer.download(address, tmp_path / "back")
    time.sleep(0.5)  # some held requests are still being forwarded
    already = {name for method, name in proxy.requests[started:] if method == "POST"}
    before = len(proxy.requests)
    with bucket.opened(address) as opened:
        left = files_of_interrupted(opened, address, "a generator")
    assert left == contents(new).keys()
    transfer.upload(new, address, left)
    again = [name for method, name in proxy.requests[before:] if method == "POST" and name.endswith(".bin")]
    assert len(already) >= 15
    assert len(again) == 30 - len({name for name in already if name.endswith(".bin")})
    transfer.download(address, tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(new)


def test_one_of_two_concurrent_uploads_is_complete_and_the_other_fails(
    proxy: StorageProxy, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PARALLEL_TRANSFERS", 1)
    first, second = make_folder(tmp_path / "first", seed=1, small=3), make_folder(tmp_path / "second", seed=2, small=3)

    def second_in_between(method: str, name: str, body: bytes) -> None:
        if method == "POST" and name.endswith(".bin"):
            proxy.before = lambda *_: None
            transfer.upload(second, address, contents(second).keys())

    proxy.before = second_in_between
    with pytest.raises(objects.Conflict, match="Another process wrote the same object"):
        transfer.upload(first, address)
    transfer.download(address, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(second)


def test_an_upload_fails_if_another_one_begins_before_its_end(
    proxy: StorageProxy, address: Address, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "folder", seed=1, small=3)

    def begin_another(method: str, name: str, body: bytes) -> None:
        if method == "DELETE":
            proxy.before = lambda *_: None
            write(address / INCOMPLETE, "")

    proxy.before = begin_another
    with pytest.raises(objects.Conflict, match="Another process wrote the same folder"):
        transfer.upload(folder, address)
    with pytest.raises(TryAgain, match="must be complete"):
        transfer.download(address, tmp_path / "back")


@pytest.mark.parametrize("direction", ["POST", "GET"])
def test_content_that_is_damaged_in_transfer_is_refused(
    proxy: StorageProxy, address: Address, tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "TRANSFER_WITHIN_SECONDS", 1.0)
    folder = make_folder(tmp_path / "folder", seed=1, small=3)
    content = (folder / "2" / "file 2.bin").read_bytes()

    def flip(method: str, name: str, body: bytes) -> bytes:
        return body.replace(content, bytes([content[0] ^ 1]) + content[1:]) if method == direction else body

    if direction == "GET":
        transfer.upload(folder, address)
    proxy.alter = flip
    with pytest.raises(TryAgain, match=re.escape(f"Received: {address}")):
        transfer.upload(folder, address) if direction == "POST" else transfer.download(address, tmp_path / "back")
    proxy.alter = lambda method, name, body: body
    if direction == "POST":
        with pytest.raises(TryAgain, match="must be complete"):
            transfer.download(address, tmp_path / "none")
        transfer.upload(folder, address, contents(folder).keys())
    transfer.download(address, tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(folder)


def test_a_download_with_one_damaged_answer_is_repeated(proxy: StorageProxy, address: Address, tmp_path: Path) -> None:
    """When a cut answer is continued from the middle, the client itself compares no checksum."""
    folder = make_folder(tmp_path / "folder", seed=1, small=0, large_bytes=2**20)
    transfer.upload(folder, address)
    times = []

    def flip_once(method: str, name: str, body: bytes) -> bytes:
        if method == "GET" and name.endswith("large.bin") and not times:
            times.append(1)
            return bytes([body[0] ^ 1]) + body[1:]
        return body

    proxy.alter = flip_once
    cut = iter(["cut within"])
    proxy.before = lambda method, name, body: next(cut, None) if name.endswith("large.bin") else None
    transfer.download(address, tmp_path / "back")
    assert times
    assert contents(tmp_path / "back") == contents(folder)


def write_earlier(address: Address, files: dict[str, str], listing: dict[str, object] | None = None) -> None:
    """Writes a folder in the format of versions before 2026-11-29."""
    folder = f".whole/{'0' * 32}"
    for name, text in files.items():
        write(address / folder / name, text)
    write(address / f".whole/{'1' * 32}" / "killed", "an upload that a kill ended")
    write(address / ".whole.json", json.dumps({"format": 1, "folder": folder, **(listing or {})}, indent=1))


def test_a_folder_of_an_earlier_version_is_read_and_replaced(
    proxy: StorageProxy, emulator: str, address: Address, tmp_path: Path
) -> None:
    write_earlier(address, {"generator.json": '{"latent_size": 8, "images_seen": 1}', "a/b": "text"})
    transfer.download(address, tmp_path / "back")
    assert contents(tmp_path / "back").keys() == {"generator.json", "a/b"}
    given = argparse.Namespace(model=paths.output(kinds.GENERATOR)(str(address)))
    with paths.local_paths(given) as local:
        local.model.place.mkdir()
        (local.model.place / MODEL_FILE).write_text("new")
    assert stored(emulator, address) == [f"{address.name}/{MODEL_FILE}"]


@pytest.mark.parametrize("folder", ["../x", ".whole/../../x", "", 5])
def test_invalid_listings_of_an_earlier_version_are_refused(
    proxy: StorageProxy, address: Address, tmp_path: Path, folder: object
) -> None:
    write_earlier(address, {}, {"folder": folder})
    with pytest.raises(InvalidInput, match="must be one that this project wrote"):
        transfer.download(address, tmp_path / "back")


def write(address: Address, text: str) -> None:
    with bucket.opened(address) as opened:
        opened.blob(address.name).upload_from_string(text)


def test_inputs_are_downloaded_and_outputs_are_uploaded_only_after_success(
    proxy: StorageProxy, address: Address, tmp_path: Path
) -> None:
    transfer.upload(make_folder(tmp_path / "folder", seed=1, small=3), address / "data")
    (tmp_path / "table.csv").write_text("a,b\n")
    transfer.upload(tmp_path / "table.csv", address / "table.csv")
    given = argparse.Namespace(
        data=paths.input_path(f"{address}/data/"),
        table=paths.input_path(f"{address}/table.csv"),
        here=paths.input_path("params.yaml"),
        absent=None,
        report=paths.output(kinds.REPORT)(f"{address}/report.html"),
        unwritten=paths.output(kinds.GENERATOR)(f"{address}/unwritten"),
    )
    with (
        pytest.raises(InvalidInput, match=re.escape(f"/data/gs/{BUCKET}/{address.name}/data")),
        paths.local_paths(given) as local,
    ):
        local.report.place.write_text("half")
        raise InvalidInput(f"Received: {local.data}")
    assert not local.report.place.parent.exists()
    with pytest.raises(InvalidInput, match="must hold a file or a folder"):
        transfer.download(given.report.place, tmp_path / "report.html")

    with paths.local_paths(given) as local:
        assert contents(local.data) == contents(tmp_path / "folder")
        assert local.table.read_text() == "a,b\n"
        assert (local.here, local.absent) == (Path("params.yaml"), None)
        assert local.report.place.name == "report.html"
        local.report.place.write_text("whole")
    transfer.download(given.report.place, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "whole"
    with pytest.raises(InvalidInput, match="must hold a file or a folder"):
        transfer.download(given.unwritten.place, tmp_path / "unwritten")


def test_an_output_in_a_bucket_replaces_only_its_own_kind(
    proxy: StorageProxy, address: Address, tmp_path: Path
) -> None:
    model = make_folder(tmp_path / "model", seed=1, small=3)
    (model / "generator.json").write_text('{"latent_size": 8, "images_seen": 1}')
    (model / MODEL_FILE).write_text("replaced")
    transfer.upload(model, address / "model")
    write(address / "scores.json", '{"scores": {}, "protocol": {}}')
    for _ in range(2):
        given = argparse.Namespace(
            model=paths.output(kinds.GENERATOR)(f"{address}/model"),
            scores=paths.output(kinds.SCORES)(f"{address}/scores.json"),
        )
        with paths.local_paths(given):
            pass
    write(address / "model" / "mine.txt", "a file that a person added")
    with paths.local_paths(given) as local:
        local.model.place.mkdir()
        (local.model.place / "generator.json").write_text('{"latent_size": 8, "images_seen": 2}')
    transfer.download(address / "model", tmp_path / "back")
    assert contents(tmp_path / "back").keys() == contents(model).keys() - {MODEL_FILE} | {"mine.txt"}
    write(address / "photos" / "1.png", "a photo")
    for kind, name in ((kinds.FETCHED, "photos"), (kinds.PREPARED, "model"), (kinds.REPORT, "scores.json")):
        wrong = argparse.Namespace(output=paths.output(kind)(f"{address}/{name}"))
        refused = pytest.raises(InvalidInput, match=rf"nothing else is replaced\. Received: {address}/{name}")
        with refused, paths.local_paths(wrong):
            raise AssertionError("the work must not begin")
    overlapping = argparse.Namespace(data=paths.input_path(f"{address}/model"), **vars(given))
    with pytest.raises(InvalidInput, match="must not be, hold or lie in"), paths.local_paths(overlapping):
        raise AssertionError("the work must not begin")


@pytest.mark.parametrize(
    ("marker", "named"),
    [
        (b"", "no kind"),
        (b"[1]", "no kind"),
        (b'{"kind": "a prepared data set"}', "no kind"),
        (marker_content("a generator", ["preview.png"]), "a generator"),
    ],
)
def test_a_marker_of_another_command_replaces_nothing(
    proxy: StorageProxy, emulator: str, address: Address, marker: bytes, named: str
) -> None:
    write(address / INCOMPLETE, marker.decode())
    write(address / "preview.png", "mine")
    given = argparse.Namespace(dataset=paths.output(kinds.PREPARED)(str(address)))
    received = f"Received: {address}, whose {INCOMPLETE} names {named}, not a prepared data set"
    with pytest.raises(InvalidInput, match=re.escape(received)), paths.local_paths(given):
        raise AssertionError("the work must not begin")
    assert stored(emulator, address) == [f"{address.name}/{name}" for name in (INCOMPLETE, "preview.png")]


def test_a_continued_output_replaces_only_the_files_of_the_interrupted_one(
    proxy: StorageProxy, address: Address, tmp_path: Path
) -> None:
    write(address / INCOMPLETE, marker_content("a prepared data set", ["preview.png", "old.npy"]).decode())
    for name in ("preview.png", "old.npy", "mine.txt"):
        write(address / name, "left")
    given = argparse.Namespace(dataset=paths.output(kinds.PREPARED)(str(address)))

    def prepare(*names: str) -> None:
        with paths.local_paths(given) as local:
            local.dataset.place.mkdir()
            for name in names:
                (local.dataset.place / name).write_text('{"digest": "", "shards": [], "settings": {}}')

    with pytest.raises(InvalidInput, match=re.escape(f"files of an earlier one. Received: {address}/mine.txt")):
        prepare("manifest.json", "mine.txt")
    prepare("manifest.json", "preview.png")
    transfer.download(address, tmp_path / "back")
    assert contents(tmp_path / "back").keys() == {"manifest.json", "preview.png", "mine.txt"}
    assert (tmp_path / "back" / "mine.txt").read_text() == "left"


class _Refusal(QuietHandler):
    refusal: tuple[int, str]

    def do_GET(self) -> None:
        status, reason = self.refusal
        error = {"code": status, "message": "said so", "errors": [{"reason": reason}]}
        body = json.dumps({"error": error}).encode()
        self.answer(status, body)

    do_POST = do_GET  # noqa: N815


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ((403, "forbidden"), InvalidInput, "These credentials must have permission in the bucket: "),
        ((403, "rateLimitExceeded"), TryAgain, "The bucket's quota is used up for now: "),
        ((429, "rateLimitExceeded"), TryAgain, "The bucket's quota is used up for now: "),
        ((404, "notFound"), InvalidInput, "The bucket must exist."),
        ((503, "backendError"), TryAgain, "The bucket does not answer: "),
        ((401, "authError"), InvalidInput, "A bucket needs credentials: "),
    ],
)
def test_each_refusal_of_a_bucket_has_its_own_sentence(
    answer: tuple[int, str], kind: type[Exception], sentence: str, writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSWER_WITHIN_SECONDS", "TRANSFER_WITHIN_SECONDS"):
        monkeypatch.setattr(bucket, name, 0.2)
    handler = type("Refusal", (_Refusal,), {"refusal": answer})
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        address = Address(BUCKET, "x")
        with pytest.raises(kind, match=f"^{re.escape(sentence)}.*Received: gs://{BUCKET}/x$"):
            paths.require_writable(address) if writes else transfer.download(address, Path("nowhere"))


def test_a_missing_network_and_missing_credentials_are_different_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bucket, "ANSWER_WITHIN_SECONDS", 0.5)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(TryAgain, match="The bucket does not answer: "):
        paths.require_writable(Address(BUCKET, "x"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    command = [sys.executable, "-m", "components.register", "--config", "gs://team/params.yaml"]
    command += ["--model", "m", "--scores", "s", "--registration", "r"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: A bucket needs credentials: ")
    assert answer.stderr.count("\n") == 1


def test_an_invalid_address_is_refused() -> None:
    for text in ("gs://", "gs://UPPER/x", "gs://team/a\nb"):
        with pytest.raises(InvalidInput, match="must look like gs://bucket/folder"):
            paths.input_path(text)


@pytest.mark.parametrize("text", ["s3://bucket/items.zip", "http://host/grid.png", "file:///tmp/grid.png"])
def test_addresses_that_are_not_gs_are_refused_as_places(text: str) -> None:
    for read in (paths.input_path, paths.output(kinds.SAMPLES), paths.folder_path, paths.local_path):
        with pytest.raises(InvalidInput, match=rf"or a gs:// address\. Received: {text}$"):
            read(text)

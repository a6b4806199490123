"""Raw data that is read in a bucket, through a proxy with the faults of networks and services."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from recipes import small_images
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components import fingerprint, prepare
from components.storage import bucket, bucket_file, bucket_source
from components.storage.bucket_source import bucket_fingerprint, open_bucket_source
from gan_core.data.prepared import PreparedDataset
from gan_core.data.sources import Source
from gan_core.errors import InvalidInput, TryAgain
from gan_core.exit_codes import run
from tests.gan_core.data.archives import (
    CLASSES,
    in_class_folders,
    png,
    write_csv,
    write_folder,
    write_parquet,
    write_tar,
    write_zip,
)
from tests.gan_core.data.test_archives import labelled, open_size, reasons

# The client leaves cut connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
CONFIG = {
    "modality": "auto",
    "label": "auto",
    "held_out_fraction": 0.5,
    "max_rejected_fraction": 0.0,
    "images_per_shard": 100,
    "seed": 0,
    "image": small_images(),
}
Send = Callable[[Path], str]


@pytest.fixture(autouse=True)
def _new_client(proxy: StorageProxy) -> Iterator[None]:
    """Connects the client of this process to the proxy of the test."""
    del proxy
    bucket_file._bucket.cache_clear()
    yield
    bucket_file._bucket.cache_clear()


@pytest.fixture
def send(request: pytest.FixtureRequest) -> Send:
    """Sends a file, or a folder, to the bucket, to a prefix of the test, and returns its address."""
    prefix = f"sources/{abs(hash(request.node.name))}"

    def send_to(path: Path) -> str:
        for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
            name = f"{prefix}/{file.relative_to(path.parent)}"
            bucket_file._bucket(BUCKET).blob(name).upload_from_filename(str(file))
        return f"gs://{BUCKET}/{prefix}/{path.name}"

    return send_to


def opened(source: str) -> Source:
    return open_bucket_source(source, "auto", "auto")


def prepared(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    config = json.dumps(CONFIG | {"source": source})
    monkeypatch.setattr("sys.argv", ["prepare", "--config", config, "--dataset", str(folder)])
    try:
        run(prepare.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_forms_in_a_bucket_have_the_digest_of_a_folder(
    tmp_path: Path, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = in_class_folders(30)
    local = write_folder(tmp_path / "folder", files)
    names = [name[:3] for name, _ in files]
    write_csv(local / "list.csv", [("path", "label"), *((name, name[:3]) for name, _ in files)])
    folder = send(local)
    (local / "list.csv").unlink()
    write_folder(tmp_path / "tars", [("README.md", b"two tars")])
    for number in range(2):
        write_tar(tmp_path / "tars" / f"{number}.tar", files[number::2])
    tars = send(tmp_path / "tars")
    parquet = write_parquet(tmp_path / "a.parquet", {"image": [content for _, content in files], "label": names})
    sources = [str(local), folder, f"{folder}/list.csv", tars, f"{tars}/*.tar", send(parquet)]
    sources += [send(write_zip(tmp_path / "a.zip", files)), f"{tars.rpartition('/')[0]}/a.*"]

    digests = set()
    for number, source in enumerate(sources[:-1]):
        assert prepared(source, tmp_path / f"prepared-{number}", monkeypatch) == 0
        manifest = PreparedDataset(tmp_path / f"prepared-{number}").manifest
        assert [entry.name for entry in manifest.classes] == list(CLASSES)
        assert manifest.source == source
        digests.add(manifest.digest)
    assert len(digests) == 1
    with pytest.raises(InvalidInput, match="must not have parquet files and other archives"):
        opened(sources[-1])


def test_label_files_and_texts_are_read_below_a_prefix(tmp_path: Path, send: Send) -> None:
    source = opened(send(write_folder(tmp_path / "web", [("0.cls", b"7"), ("0.png", png(0)), (".1.png", png(1))])))
    assert labelled(source) == {"0.png": "7"}

    texts = opened(send(write_folder(tmp_path / "texts", [("a.txt", b"one\ntwo"), ("b.txt", b"three")])))
    assert (texts.modality, list(texts.classes), texts.count) == ("text", ["a", "b"], 3)


def test_items_are_opened_in_other_processes(tmp_path: Path, send: Send) -> None:
    source = opened(send(write_tar(tmp_path / "a.tar", in_class_folders(6))))

    assert all(len(pickle.dumps(item)) < 1000 for item in source)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(open_size, source)) == [(16, 16)] * 6


def test_names_that_lead_out_or_control_a_terminal_write_nothing(
    tmp_path: Path, send: Send, proxy: StorageProxy
) -> None:
    files = [("cat/1.png", png(1)), ("a\x1b[2J/1.png", png(2)), ("dog/1.png", png(3))]
    address = send(write_folder(tmp_path / "raw", files))
    # The emulator has no such names.
    proxy.alter = lambda method, name, body: body if name else body.replace(b"dog/1.png", b"../../dog/1.png")

    source = opened(address)

    assert labelled(source) == {"cat/1.png": "cat", "a\\x1b[2J/1.png": "a\\x1b[2J"}  # the third counts as hidden
    assert not reasons(source)


def test_missing_and_large_objects_are_set_aside(tmp_path: Path, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [("path",), ("0.png",), ("gone.png",), ("large.png",), ("../secret.png",)]
    folder = write_folder(tmp_path / "raw", [("0.png", png(0)), ("large.png", bytes(2000))])
    write_csv(folder / "list.csv", lines)
    monkeypatch.setattr(bucket_file, "LARGEST_FILE_BYTES", 1000)

    found = reasons(opened(f"{send(folder)}/list.csv"))

    assert found.pop("../secret.png").startswith("its path must lead to a file below the folder of the CSV")
    assert found == {"gone.png": "there is no such object", "large.png": "more than 1000 bytes"}


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("gone", r"must hold raw data\. Received: gs://.*/gone$"),
        ("gone/*.tar", r"must hold raw data\. Received: gs://.*/gone/\*\.tar$"),
        ("*/a.tar", r"must look like gs://bucket/folder"),
        ("raw/*", r"must match only archives .*/raw/a\.csv"),
        ("raw/notes.md", r"must be a list \(\.csv\) or an archive"),
        ("raw", "must contain images"),
        ("raw/a.tar", "whole, uncompressed tar"),
        ("raw/a.zip", "whole zip archive"),
        ("raw/a.parquet", "whole parquet file"),
        ("raw/a.csv", "whole CSV"),
    ],
)
def test_a_source_that_is_no_raw_data_is_refused(last: str, message: str, tmp_path: Path, send: Send) -> None:
    files = [("notes.md", b""), ("deep/notes.md", b"")]
    files += [(f"a.{suffix}", b"\xff" * 2000) for suffix in ("tar", "zip", "parquet", "csv")]
    address = send(write_folder(tmp_path / "raw", files))
    with pytest.raises(InvalidInput, match=message):
        opened(f"{address.rpartition('/')[0]}/{last}")


FORMS = ("raw", "raw/list.csv", "a.tar", "a.zip", "a.parquet")


def sent(form: str, tmp_path: Path, send: Send) -> str:
    """Sends six images in a form, and returns the source."""
    files = in_class_folders(6)
    if form.startswith("raw"):
        write_folder(tmp_path / "raw", files)
        write_csv(tmp_path / "raw" / "list.csv", [("path", "label"), *((name, name[:3]) for name, _ in files)])
        return f"{send(tmp_path / 'raw')}{form.removeprefix('raw')}"
    if form == "a.parquet":
        return send(write_parquet(tmp_path / form, {"image": [content for _, content in files]}))
    return send((write_tar if form == "a.tar" else write_zip)(tmp_path / form, files))


@pytest.mark.parametrize("form", ["raw", "a.tar", "a.zip", "a.parquet"])
def test_an_object_that_changes_meanwhile_is_refused(form: str, tmp_path: Path, send: Send) -> None:
    source = sent(form, tmp_path, send)
    items = list(opened(source))
    sent(form, tmp_path, send)

    with pytest.raises(InvalidInput, match=r"must not change while they are read\. Received: gs://"):
        items[-1].open()


@pytest.mark.parametrize("form", FORMS)
def test_a_bucket_that_does_not_answer_ends_with_exit_code_75(
    form: str,
    tmp_path: Path,
    send: Send,
    proxy: StorageProxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bucket goes away after the listing, so that the loss meets the reading of items."""
    source = sent(form, tmp_path, send)
    open_in_bucket = bucket_source.open_bucket_source

    def open_and_lose(*arguments: str) -> Source:
        found = open_in_bucket(*arguments)
        items = list(found)
        monkeypatch.setattr(type(found), "__iter__", lambda _: iter(items))
        monkeypatch.setattr(bucket, "TRANSFER_WITHIN_SECONDS", 0.5)
        proxy.before = lambda *_: "503"
        return found

    monkeypatch.setattr(bucket_source, "open_bucket_source", open_and_lose)

    assert prepared(source, tmp_path / "prepared", monkeypatch) == 75
    errors = capsys.readouterr().err
    assert "The bucket does not answer" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("form", FORMS)
def test_lost_connections_are_tried_again(form: str, tmp_path: Path, send: Send, proxy: StorageProxy) -> None:
    source = sent(form, tmp_path, send)
    proxy.rate = 0.3

    assert not reasons(opened(source))
    assert sum(proxy.faults.values()) > 0


def test_an_answer_that_is_cut_is_noticed(tmp_path: Path, send: Send, proxy: StorageProxy) -> None:
    (item,) = opened(send(write_folder(tmp_path / "raw", [("0.png", png(0))])))
    proxy.alter = lambda method, name, body: body[:-1] if name.endswith("0.png") else body
    with pytest.raises(TryAgain, match=r"answer was cut\. Received: gs://"):
        item.open()


@pytest.mark.parametrize("form", FORMS)
def test_the_fingerprint_follows_the_content_and_reads_no_item(
    form: str, tmp_path: Path, send: Send, proxy: StorageProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sent(form, tmp_path, send)
    before = bucket_fingerprint(source)
    name = f"{source}/ant/0.png" if form == "raw" else source.replace("list.csv", "ant/0.png")
    blob = bucket_file._bucket(BUCKET).blob(name.removeprefix(f"gs://{BUCKET}/"))
    content = blob.download_as_bytes()
    blob.upload_from_string(content)  # the same content, as another generation
    proxy.requests.clear()
    assert bucket_fingerprint(source) == before
    assert {name for _, name in proxy.requests} <= {
        "",
        bucket_source.place_of(source).name,
        source.removeprefix("gs://"),
    }

    bucket_file._bucket(BUCKET).blob(blob.name).upload_from_string(content + b" ")
    assert bucket_fingerprint(source) != before

    config = json.dumps(CONFIG | {"source": source})
    output = tmp_path / "fingerprint.json"
    monkeypatch.setattr("sys.argv", ["fingerprint", "--config", config, "--output", str(output)])
    fingerprint.main()
    assert json.loads(output.read_text()) == {"format": 1, "raw_data": bucket_fingerprint(source)}


def test_a_file_beside_the_list_does_not_count(tmp_path: Path, send: Send) -> None:
    source = sent("raw/list.csv", tmp_path, send)
    before = bucket_fingerprint(source)
    other = bucket_source.place_of(source).name.replace("list.csv", "other.png")
    bucket_file._bucket(BUCKET).blob(other).upload_from_string(b"")
    assert bucket_fingerprint(source) == before

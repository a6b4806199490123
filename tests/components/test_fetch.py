"""Versions pushed by DVC, to a folder and to a storage emulator, and fetched again by the command."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from storage_emulator import BUCKET

from components import bucket
from components.fetch import require_remote
from components.pointer import Pointer
from gan_core.errors import InvalidInput, TryAgain

ROOT = Path(__file__).resolve().parents[2]
FILES = {"tabby/1.txt": b"one", "tabby/2.txt": b"two", "siamese/1.txt": b"three", "siamese/copy.txt": b"one"}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, emulator: str) -> Path:
    """A DVC repository whose folder `cats` was pushed to the folder `remote` beside it and to the emulator."""
    repository = tmp_path_factory.mktemp("team") / "repository"
    for name, content in FILES.items():
        (repository / "cats" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "cats" / name).write_bytes(content)
    remotes = {"folder": str(repository.parent / "remote"), "bucket": f"gs://{BUCKET}/dvc"}
    dvc(repository, emulator, "init", "--no-scm")
    dvc(repository, emulator, "add", "cats")
    for name, url in remotes.items():
        dvc(repository, emulator, "remote", "add", name, url)
        dvc(repository, emulator, "push", "--remote", name)
    return repository


def environment(emulator: str) -> dict[str, str]:
    return os.environ | {"STORAGE_EMULATOR_HOST": emulator, "DVC_NO_ANALYTICS": "1"}


def dvc(repository: Path, emulator: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    settings = {"DVC_SITE_CACHE_DIR": str(repository / ".dvc" / "site"), "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    subprocess.run(command, cwd=repository, env=environment(emulator) | settings, check=True, capture_output=True)


def fetch(pointer: str, remote: str, data: Path, host: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.fetch", "--pointer", pointer, "--remote", remote, "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, env=environment(host), capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(answer: subprocess.CompletedProcess[str], data: Path, *words: str) -> None:
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.count("\n") == 1
    assert all(word in answer.stderr for word in (*words, "Received: ")), answer.stderr
    assert not data.exists()
    assert not data.parent.exists() or not list(data.parent.iterdir())


def test_fetches_from_a_bucket(pushed: Path, emulator: str, tmp_path: Path) -> None:
    answer = fetch((pushed / "cats.dvc").read_text(), f"gs://{BUCKET}/dvc", tmp_path / "out" / "data", emulator)
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "out") == {f"data/{name}": content for name, content in FILES.items()}
    assert answer.stderr == ""


def test_fetches_what_a_file_points_to(pushed: Path, tmp_path: Path) -> None:
    answer = fetch(str(pushed / "cats.dvc"), str(pushed.parent / "remote"), tmp_path / "data")
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "data") == FILES


def test_a_prefix_without_dvc(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    photos = storage.Client().bucket(BUCKET)
    for name in ("photos/a/1.txt", "photos/2.txt", "photos/", "photographs/3.txt"):
        photos.blob(name).upload_from_string(name)
    answer = fetch(f"gs://{BUCKET}/photos", "", tmp_path / "data", emulator)
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "data") == {"a/1.txt": b"photos/a/1.txt", "2.txt": b"photos/2.txt"}
    assert_refused(fetch(f"gs://{BUCKET}/none", "", tmp_path / "o" / "data", emulator), tmp_path / "o" / "data", "hold")


def test_no_pointer_is_no_data(tmp_path: Path) -> None:
    assert fetch("", "", tmp_path / "data").returncode == 0
    assert list((tmp_path / "data").iterdir()) == []


def test_absent_version(pushed: Path, emulator: str, tmp_path: Path) -> None:
    pointer = "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"
    for remote in (f"gs://{BUCKET}/dvc", str(pushed.parent / "remote")):
        answer = fetch(pointer, remote, tmp_path / "out" / "data", emulator)
        assert_refused(answer, tmp_path / "out" / "data", "must hold the version", remote)


def test_absent_file(pushed: Path, tmp_path: Path) -> None:
    remote = copy_of_remote(pushed, tmp_path)
    object_of(remote, b"two").unlink()
    answer = fetch((pushed / "cats.dvc").read_text(), str(remote), tmp_path / "out" / "data")
    assert_refused(answer, tmp_path / "out" / "data", "Absent: 1", "tabby/2.txt")


@pytest.mark.parametrize("content", [b"two", None], ids=["a file", "the listing"])
def test_what_arrives_is_compared_with_its_digest(pushed: Path, tmp_path: Path, content: bytes | None) -> None:
    remote = copy_of_remote(pushed, tmp_path)
    path = object_of(remote, content) if content else next(remote.rglob("*.dir"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"two", b"2wo").replace(b"2.txt", b"3.txt"))
    answer = fetch((pushed / "cats.dvc").read_text(), str(remote), tmp_path / "out" / "data")
    assert_refused(answer, tmp_path / "out" / "data", "must have the digest")


def test_a_listing_cannot_write_elsewhere(tmp_path: Path) -> None:
    def store(content: bytes, suffix: str = "") -> str:
        digest = hashlib.md5(content).hexdigest()
        path = tmp_path / "remote" / "files" / "md5" / digest[:2] / (digest[2:] + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest + suffix

    listing = json.dumps([{"md5": store(b"evil"), "relpath": "../../../escaped.txt"}]).encode()
    pointer = f"{{md5: {store(listing, '.dir')}, hash: md5, path: data}}"
    answer = fetch(pointer, str(tmp_path / "remote"), tmp_path / "out" / "data")
    assert_refused(answer, tmp_path / "out" / "data", "below its folder")
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", ".", "a\nb", "a\\..\\b"])
def test_names_from_outside_stay_inside(name: str) -> None:
    with pytest.raises(InvalidInput, match="below its folder"):
        bucket.require_inside(name)


@pytest.mark.parametrize(
    ("status", "rule"), [(401, "needs credentials"), (403, "must have permission in the bucket: ")]
)
def test_no_permission(tmp_path: Path, status: int, rule: str) -> None:
    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"code": status, "message": "no storage.objects.list access"}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        pointer = "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"
        host = f"http://127.0.0.1:{server.server_port}"
        answer = fetch(pointer, f"gs://{BUCKET}/dvc", tmp_path / "out" / "data", host)
        server.shutdown()
        thread.join()
    assert_refused(answer, tmp_path / "out" / "data", rule)


def test_no_such_bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    with pytest.raises(InvalidInput, match="The bucket must exist"):
        bucket.require_readable("gs://nobody-has-this/dvc")


def test_a_bucket_that_does_not_answer_is_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr(bucket, "ANSWER_WITHIN_SECONDS", 1.0)
    with pytest.raises(TryAgain, match="does not answer"):
        bucket.require_readable(f"gs://{BUCKET}/dvc")


@pytest.mark.parametrize(
    "remote",
    [
        *("s3://team/dvc", "http://127.0.0.1/dvc", "ssh://host/dvc", "gs://", "gs://UPPER/x", "", "/no/such/folder"),
        *("gs://team/a\nurl = /etc", "/tmp\n[cache]\n    dir = /", "/tmp,/etc", "/tmp # x", '"/tmp"', "/tmp/${HOME}"),
    ],
)
def test_other_remotes_are_refused(remote: str) -> None:
    with pytest.raises(InvalidInput, match="Received: "):
        require_remote(remote)


@pytest.mark.parametrize(
    "pointer",
    [
        "{md5: 0123456789abcdef0123456789abcdef, hash: md5, path: one-file}",
        "{md5: ../../../../etc/passwd.dir, hash: md5, path: cats}",
        "{md5: 0123456789abcdef0123456789abcdef.dir, path: written-by-dvc-2}",
        "{md5: 0123456789abcdef0123456789abcdef.dir, hash: etag, path: cats}",
        "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: ../cats}",
        "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: /cats}",
        "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats, remote: elsewhere}",
        "deps: []\nouts: [{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}]",
        "outs: []",
        "!!python/object/apply:os.system ['touch /tmp/pwned']",
        "{" * 4000,
        "&a [*a, *a]",
        "x" * 5000,
        "null",
        "/etc/passwd",
        "/no/such/file.dvc",
        "outs:\n- md5: 'a\x00b'\n",
    ],
)
def test_other_pointers_are_refused(pointer: str) -> None:
    with pytest.raises(InvalidInput, match="Received: ") as refusal:
        Pointer.read(pointer)
    assert len(str(refusal.value)) < 600
    assert not Path("/tmp/pwned").exists()


def test_reads_what_dvc_writes(pushed: Path) -> None:
    text = (pushed / "cats.dvc").read_text()
    output = yaml.safe_load(text)["outs"][0]
    in_lock = "outs:\n- path: cats\n  hash: md5\n  md5: {md5}\n  size: 14\n  nfiles: 4\n".format(**output)
    readings = [Pointer.read(form) for form in (text, in_lock, json.dumps(output), yaml.safe_dump([output]))]
    assert {reading.md5 for reading in readings} == {output["md5"]}


def copy_of_remote(pushed: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-r", str(pushed.parent / "remote"), str(tmp_path / "remote")], check=True)
    return tmp_path / "remote"


def object_of(remote: Path, content: bytes) -> Path:
    digest = hashlib.md5(content).hexdigest()
    return remote / "files" / "md5" / digest[:2] / digest[2:]

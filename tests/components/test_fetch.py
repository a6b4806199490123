"""The fetch command on versions that DVC pushed to a folder and to a storage emulator."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from local_servers import QuietHandler, serving
from storage_emulator import BUCKET

from components.storage import bucket, dvc_listing, transfer
from components.storage import fetch_records as fetched
from components.storage.bucket import Address
from components.storage.dvc_pointer import read_pointer
from components.storage.dvc_remote import pull, require_remote
from components.storage.outputs import Output, whole_output
from gan_core.errors import InvalidInput, TryAgain

ROOT = Path(__file__).resolve().parents[2]
FILES = {"tabby/1.txt": b"one", "tabby/2.txt": b"two", "siamese/1.txt": b"three", "siamese/copy.txt": b"one"}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, emulator: str) -> Path:
    """A DVC repository whose folder `cats` was pushed to the folder `remote` next to it and to the emulator."""
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


def test_a_version_is_fetched_from_a_bucket(pushed: Path, emulator: str, tmp_path: Path) -> None:
    answer = fetch((pushed / "cats.dvc").read_text(), f"gs://{BUCKET}/dvc", tmp_path / "out" / "data", emulator)
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "out") == {f"data/{name}": content for name, content in FILES.items()}
    assert answer.stderr == ""


def test_a_new_version_replaces_only_a_fetched_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    for version in ("first", "second"):
        with whole_output(Output(data, fetched.kind_at(data))) as folder:
            (folder / "cats").mkdir(parents=True)
            (folder / "cats" / f"{version}.txt").write_text(version)
        fetched.remember(data)
        assert contents(data) == {f"cats/{version}.txt": version.encode()}
    (data / "cats" / "second.txt").write_text("changed by hand")
    with (
        pytest.raises(InvalidInput, match="nothing else is replaced"),
        whole_output(Output(data, fetched.kind_at(data))),
    ):
        raise AssertionError("the work must not begin")
    assert contents(data) == {"cats/second.txt": b"changed by hand"}


def test_the_version_of_a_pointer_file_is_fetched(pushed: Path, tmp_path: Path) -> None:
    answer = fetch(str(pushed / "cats.dvc"), str(pushed.parent / "remote"), tmp_path / "data")
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "data") == FILES
    # No fetched file is a hard link to the remote's, because a change of it would change the remote.
    remote = {path.stat().st_ino for path in (pushed.parent / "remote").rglob("*")}
    assert not remote & {path.stat().st_ino for path in (tmp_path / "data").rglob("*")}


@pytest.mark.parametrize("name", ["a#b", 'a,"b', "a%(x)s ; é", "${HOME}"])
def test_a_remote_folder_may_have_any_name(pushed: Path, tmp_path: Path, name: str) -> None:
    remote = tmp_path / name / "remote"
    shutil.copytree(pushed.parent / "remote", remote)
    answer = fetch(str(pushed / "cats.dvc"), str(remote), tmp_path / "out" / "data")
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "out" / "data") == FILES


def test_a_prefix_is_fetched_without_dvc(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    photos = storage.Client().bucket(BUCKET)
    for name in ("photos/a/1.txt", "photos/2.txt", "photos/", "photographs/3.txt"):
        photos.blob(name).upload_from_string(name)
    answer = fetch(f"gs://{BUCKET}/photos", "", tmp_path / "data", emulator)
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path / "data") == {"a/1.txt": b"photos/a/1.txt", "2.txt": b"photos/2.txt"}
    assert_refused(fetch(f"gs://{BUCKET}/none", "", tmp_path / "o" / "data", emulator), tmp_path / "o" / "data", "hold")


def test_an_empty_pointer_fetches_nothing(tmp_path: Path) -> None:
    assert fetch("", "", tmp_path / "data").returncode == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["NOTHING-FETCHED"]


def test_an_absent_version_is_refused(pushed: Path, emulator: str, tmp_path: Path) -> None:
    pointer = "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"
    for remote in (f"gs://{BUCKET}/dvc", str(pushed.parent / "remote")):
        answer = fetch(pointer, remote, tmp_path / "out" / "data", emulator)
        assert_refused(answer, tmp_path / "out" / "data", "must hold the version", remote)


def test_an_absent_file_is_refused(pushed: Path, tmp_path: Path) -> None:
    remote = copy_of_remote(pushed, tmp_path)
    object_path(remote, b"two").unlink()
    answer = fetch((pushed / "cats.dvc").read_text(), str(remote), tmp_path / "out" / "data")
    assert_refused(answer, tmp_path / "out" / "data", "Absent: 1", "tabby/2.txt")


@pytest.mark.parametrize("content", [b"two", None], ids=["a file", "the listing"])
def test_downloaded_content_is_compared_with_its_digest(pushed: Path, tmp_path: Path, content: bytes | None) -> None:
    remote = copy_of_remote(pushed, tmp_path)
    path = object_path(remote, content) if content else next(remote.rglob("*.dir"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"two", b"2wo").replace(b"2.txt", b"3.txt"))
    answer = fetch((pushed / "cats.dvc").read_text(), str(remote), tmp_path / "out" / "data")
    assert_refused(answer, tmp_path / "out" / "data", "must have the digest")


DIGEST = hashlib.md5(b"one").hexdigest()


@pytest.mark.parametrize(
    ("entries", "rule"),
    [
        ([{"md5": "zz/../../../../../../../../escaped", "relpath": "x.png"}], "32 hexadecimal digits"),
        ([{"md5": f"{DIGEST}\n", "relpath": "x.png"}], "32 hexadecimal digits"),
        ([{"md5": f"{DIGEST}.dir", "relpath": "x.png"}], "32 hexadecimal digits"),
        ([{"md5": DIGEST.upper(), "relpath": "x.png"}], "32 hexadecimal digits"),
        ([{"md5": 5, "relpath": "x.png"}], "32 hexadecimal digits"),
        ([{"md5": DIGEST, "relpath": ["x.png"]}], "nothing else"),
        ([{"md5": DIGEST, "relpath": "x.png", "remote": "elsewhere"}], "nothing else"),
        ([{"md5": DIGEST, "relpath": "x.png", "isdir": True}], "nothing else"),
        ([{"relpath": "x.png"}], "nothing else"),
        (["x.png"], "nothing else"),
        ({"md5": DIGEST}, "in a list"),
        ("[" * 100_000, "as JSON"),
        ([{"md5": DIGEST, "relpath": "a/.dvc/config"}], "DVC or git use"),
        ([{"md5": DIGEST, "relpath": "../../../escaped"}], "no part . or .."),
        ([{"md5": DIGEST, "relpath": "/tmp/escaped"}], "no empty part"),
        ([{"md5": DIGEST, "relpath": "a"}, {"md5": DIGEST, "relpath": "a/b"}], "a file and a folder"),
    ],
)
def test_a_listing_of_another_form_is_refused_before_dvc_reads_it(tmp_path: Path, entries: object, rule: str) -> None:
    content = entries.encode() if isinstance(entries, str) else json.dumps(entries).encode()
    md5 = f"{hashlib.md5(content).hexdigest()}.dir"
    path = tmp_path / "remote" / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=rule) as refusal:
        pull(md5, str(tmp_path / "remote"), tmp_path / "out" / "data")
    assert "Received: " in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_bucket", [False, True], ids=["a folder", "a bucket"])
def test_a_listing_is_compared_with_its_pointer_before_it_is_used(tmp_path: Path, is_bucket: bool) -> None:
    """A person who can write to the remote cannot change the pointer."""
    digest = f"{'zzq' if is_bucket else 'zz'}/{'../' * (9 if is_bucket else 6)}escaped"
    hostile = json.dumps([{"md5": digest, "relpath": "x.png"}]).encode()
    name = f"files/md5/{DIGEST[:2]}/{DIGEST[2:]}.dir"
    pointer, data = f"{{md5: {DIGEST}.dir, hash: md5, path: data}}", tmp_path / "out" / "data"
    if is_bucket:
        found = {name: hostile, f"files/md5/{digest[:2]}/{digest[2:]}": b"evil"}
        with bucket_with(found) as host:
            answer = fetch(pointer, "gs://team", data, host)
    else:
        inner = tmp_path / "remote" / "a/b/c/d/e/f/g/h"
        inner.mkdir(parents=True)
        (tmp_path / "remote" / "escaped").write_text("evil")
        (tmp_path / "remote" / name).parent.mkdir(parents=True)
        (tmp_path / "remote" / name).write_bytes(hostile)
        (tmp_path / "remote" / "files/md5/zz").symlink_to(inner)
        answer = fetch(pointer, str(tmp_path / "remote"), data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ([] if is_bucket else ["remote"])
    assert_refused(answer, data, "must have the digest")


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["a", "a/b"], "a file and a folder. Received: 'a' and 'a/b'"),
        (["ok", "a//b"], "no empty part. Received: 'a//b'"),
        (["a/b.png/"], "no empty part. Received: 'a/b.png/'"),
        (["../b"], "no part . or .."),
        (["a\nb"], "no control character"),
        (["é" * 128], "at most 255 bytes"),
        (["a.png", "a.PNG"], "upper and lower case"),
    ],
)
def test_an_invalid_file_name_is_refused_before_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], rule: str
) -> None:
    with bucket_with({f"cats/{name}": b"content" for name in names}) as host:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        for call in (
            lambda: transfer.download_folder(Address("team", "cats"), tmp_path / "data"),
            lambda: transfer.listing_digest(Address("team", "cats")),
        ):
            with pytest.raises(InvalidInput) as refusal:
                call()
            assert rule in str(refusal.value)
    assert not (tmp_path / "data").exists()


def test_the_listing_of_an_uploaded_folder_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.storage.objects.MOST_BYTES", 100)
    with bucket_with({"cats/.whole.json": b"x" * 101}) as host:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        with pytest.raises(InvalidInput, match="at most 100 bytes"):
            transfer.download_folder(Address("team", "cats"), tmp_path / "data")


@contextlib.contextmanager
def bucket_with(objects: dict[str, bytes]) -> Iterator[str]:
    """Yields STORAGE_EMULATOR_HOST for a bucket with objects of any name; the emulator opens files of these names."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            name = urllib.parse.unquote(url.path.partition("/o/")[2])
            found = [key for key in sorted(objects) if key.startswith(query.get("prefix", ""))]
            body = objects.get(name, b"")
            if query.get("alt") != "media":
                listed = [{"name": key, "size": str(len(objects[key])), "generation": "1"} for key in found]
                body = json.dumps(listed[found.index(name)] if name in found else {"items": listed}).encode()
            self.answer(404 if name and name not in objects else 200, body)

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_only_regular_files_of_a_remote_are_read(tmp_path: Path, kind: str) -> None:
    content = json.dumps([{"md5": DIGEST, "relpath": "x.png"}]).encode()
    md5 = f"{hashlib.md5(content).hexdigest()}.dir"
    for digest in (md5, DIGEST):
        (tmp_path / "files/md5" / digest[:2]).mkdir(parents=True)
    (tmp_path / "files/md5" / md5[:2] / md5[2:]).write_bytes(content)
    path = tmp_path / "files/md5" / DIGEST[:2] / DIGEST[2:]
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match=r"must be a regular file.*x\.png"):
        pull(md5, str(tmp_path), tmp_path / "out" / "data")


def test_a_listing_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc_listing, "MOST_BYTES", 100)
    path = tmp_path / "files/md5" / DIGEST[:2] / f"{DIGEST[2:]}.dir"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 101)
    with pytest.raises(InvalidInput, match="at most 100 bytes"):
        dvc_listing.read_listing(str(tmp_path), f"{DIGEST}.dir")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match="must hold the version"):
        dvc_listing.read_listing(str(tmp_path), f"{DIGEST}.dir")


@pytest.mark.parametrize(
    ("status", "rule"), [(401, "needs credentials"), (403, "must have permission in the bucket: ")]
)
def test_a_missing_permission_is_refused_in_one_sentence(tmp_path: Path, status: int, rule: str) -> None:
    class Refusal(QuietHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"code": status, "message": "no storage.objects.list access"}}).encode()
            self.answer(status, body)

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)) as server:
        pointer = "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"
        host = f"http://127.0.0.1:{server.server_port}"
        answer = fetch(pointer, f"gs://{BUCKET}/dvc", tmp_path / "out" / "data", host)
    assert_refused(answer, tmp_path / "out" / "data", rule)


def test_a_missing_bucket_is_refused(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    with pytest.raises(InvalidInput, match="The bucket must exist"):
        bucket.require_readable("gs://nobody-has-this/dvc")


def test_an_unreachable_bucket_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_invalid_remotes_are_refused(remote: str) -> None:
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
def test_invalid_pointers_are_refused(pointer: str) -> None:
    with pytest.raises(InvalidInput, match="Received: ") as refusal:
        read_pointer(pointer)
    assert len(str(refusal.value)) < 600
    assert not Path("/tmp/pwned").exists()


def test_every_form_of_a_dvc_pointer_is_read(pushed: Path) -> None:
    text = (pushed / "cats.dvc").read_text()
    output = yaml.safe_load(text)["outs"][0]
    in_lock = "outs:\n- path: cats\n  hash: md5\n  md5: {md5}\n  size: 14\n  nfiles: 4\n".format(**output)
    readings = [read_pointer(form) for form in (text, in_lock, json.dumps(output), yaml.safe_dump([output]))]
    assert {reading.md5 for reading in readings} == {output["md5"]}


def copy_of_remote(pushed: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-r", str(pushed.parent / "remote"), str(tmp_path / "remote")], check=True)
    return tmp_path / "remote"


def object_path(remote: Path, content: bytes) -> Path:
    digest = hashlib.md5(content).hexdigest()
    return remote / "files" / "md5" / digest[:2] / digest[2:]

"""The current version of the raw data in a storage emulator, which is then fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from storage_emulator import BUCKET

from components.resolve import resolve
from gan_core.errors import InvalidInput, TryAgain
from gan_core.raw_data import MAX_CHARACTERS

ROOT = Path(__file__).resolve().parents[2]
POINTER = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  size: {size}\n  nfiles: 2\n  hash: md5\n  path: cats\n"
VERSION = {"md5": "0123456789abcdef0123456789abcdef.dir", "hash": "md5", "path": "cats"}


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    return storage.Client().bucket(BUCKET)


def test_a_pointer_in_a_bucket_is_read_each_time_and_its_size_is_ignored(bucket: Any) -> None:
    bucket.blob("cats.dvc").upload_from_string(POINTER.format(size=14))
    first = resolve(f"gs://{BUCKET}/cats.dvc")
    assert json.loads(first) == VERSION
    bucket.blob("cats.dvc").upload_from_string(POINTER.format(size=99))
    assert resolve(f"gs://{BUCKET}/cats.dvc") == first == resolve(POINTER.format(size=1))
    bucket.blob("cats.dvc").upload_from_string(POINTER.format(size=14).replace("0123", "3210"))
    assert resolve(f"gs://{BUCKET}/cats.dvc") != first


def test_the_version_of_a_prefix_depends_on_the_content_and_names_of_its_objects(bucket: Any) -> None:
    bucket.blob("photos/a/1.png").upload_from_string(b"one")
    bucket.blob("photos-of-others/2.png").upload_from_string(b"two")
    versions = [resolve(f"gs://{BUCKET}/photos")]
    bucket.blob("photos/a/1.png").upload_from_string(b"one")
    bucket.blob("photos/").upload_from_string(b"")
    assert resolve(f"gs://{BUCKET}/photos") == versions[0]
    assert versions[0].startswith(f"gs://{BUCKET}/photos#sha256-")
    bucket.blob("photos/a/1.png").upload_from_string(b"eno")
    versions.append(resolve(f"gs://{BUCKET}/photos"))
    bucket.rename_blob(bucket.blob("photos/a/1.png"), "photos/b/1.png")
    versions.append(resolve(f"gs://{BUCKET}/photos"))
    assert len(set(versions)) == 3


def fetch(pointer: str, data: Path, host: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.fetch", "--pointer", pointer, "--remote", "", "--data", str(data)]
    environment = os.environ | {"STORAGE_EMULATOR_HOST": host}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_only_the_resolved_version_is_fetched(bucket: Any, emulator: str, tmp_path: Path) -> None:
    bucket.blob("drawings/1.png").upload_from_string(b"one")
    version = resolve(f"gs://{BUCKET}/drawings")
    assert resolve(version) == version
    assert fetch(version, tmp_path / "first", emulator).returncode == 0
    assert (tmp_path / "first" / "1.png").read_bytes() == b"one"
    bucket.blob("drawings/2.png").upload_from_string(b"two")
    late = fetch(version, tmp_path / "second", emulator)
    assert (late.returncode, "must not change after `resolve`" in late.stderr) == (75, True)
    assert not (tmp_path / "second").exists()


def test_an_empty_pointer_has_an_empty_version() -> None:
    assert resolve("") == ""


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "The object must exist"),
        ("outs: []", "must be what DVC 3 writes"),
        ("x" * (MAX_CHARACTERS + 1), "characters at most"),
        (b"\xff", "must be text"),
    ],
)
def test_an_invalid_pointer_is_refused(bucket: Any, content: str | bytes | None, rule: str) -> None:
    name = f"{len(content or '')}.dvc"
    if content is not None:
        bucket.blob(name).upload_from_string(content)
    with pytest.raises(InvalidInput, match=rule):
        resolve(f"gs://{BUCKET}/{name}")


def test_an_empty_prefix_and_an_unreachable_bucket_are_errors(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="must hold a file or a folder of files"):
        resolve(f"gs://{BUCKET}/none")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("components.storage.bucket.ANSWER_WITHIN_SECONDS", 1.0)
    with pytest.raises(TryAgain, match="does not answer"):
        resolve(f"gs://{BUCKET}/cats.dvc")


def test_the_command_writes_the_version(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.resolve", "--pointer", POINTER.format(size=1)]
    done = subprocess.run(
        [*command, "--version", str(tmp_path / "out" / "version")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "out" / "version").read_text()) == VERSION

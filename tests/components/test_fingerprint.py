"""The digest of the raw data changes if an image or a name changes, and otherwise stays the same."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recipes import project_parameters

from components import fingerprint as module
from components.fingerprint import fingerprint
from gan_core.errors import InvalidInput
from tests.gan_core.data.archives import in_class_folders, write_csv, write_tar


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes; the second is a link to another folder."""
    for place in ("photos/cats", "elsewhere/dogs"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").write_bytes(b"one")
    (tmp_path / "photos/dogs").symlink_to(tmp_path / "elsewhere/dogs")
    return tmp_path / "photos"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def change_content_but_not_times(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda photos: write(photos / "cats/2.png", b"two"),
        lambda photos: write(photos / "dogs/2.png", b"two"),
        lambda photos: write(photos.parent / "elsewhere/dogs/2.png", b"two"),
        lambda photos: write(photos / "birds/1.png", b"one"),
        lambda photos: (photos / "birds").mkdir(),
        lambda photos: (photos / "cats/1.png").unlink(),
        lambda photos: (photos / "dogs").unlink(),
        lambda photos: (photos / "cats/1.png").rename(photos / "cats/2.png"),
        lambda photos: write(photos / "cats/1.png", b"longer"),
        lambda photos: change_content_but_not_times(photos / "cats/1.png"),
        lambda photos: (photos / "cats/2.png").symlink_to(photos / "gone.png"),
    ],
)
@pytest.mark.parametrize("recent", [True, False])
def test_every_change_changes_the_digest(
    photos: Path, change: Callable[[Path], object], recent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_AFTER_SECONDS", 2.0 if recent else -1.0)
    known = photos.parent / "known.json"
    before = fingerprint(photos, known)
    assert fingerprint(photos, known) == before
    change(photos)
    assert fingerprint(photos, known) != before


def test_times_hidden_files_and_the_location_do_not_change_the_digest(photos: Path) -> None:
    known = photos.parent / "known.json"
    before = fingerprint(photos, known)
    os.utime(photos / "cats/1.png", (0, 0))
    write(photos / ".DS_Store", b"hidden")
    assert fingerprint(photos, known) == before
    copy = photos.rename(photos.parent / "copy")
    assert fingerprint(copy, photos.parent / "another.json") == before


def test_unchanged_files_are_not_read_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLED_AFTER_SECONDS", -1.0)
    known = photos.parent / "known.json"
    before = fingerprint(photos, known)
    read: list[Path] = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda path: (read.append(path), digest(path))[1])
    assert fingerprint(photos, known) == before
    assert read == []
    write(photos / "cats/2.png", b"two")
    fingerprint(photos, known)
    assert read == [photos / "cats/2.png"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"cats/1.png": [[1], "x"]}'])
def test_a_damaged_cache_is_ignored(photos: Path, damage: str) -> None:
    known = photos.parent / "known.json"
    before = fingerprint(photos, known)
    known.write_text(damage)
    assert fingerprint(photos, known) == before


def test_link_cycles_special_files_and_strange_names_are_handled(photos: Path) -> None:
    (photos / "cats/above").symlink_to(photos)
    (photos / "cats/again").symlink_to(photos / "dogs")
    (photos / "itself").symlink_to(photos / "itself")
    os.mkfifo(photos / "pipe.png")
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff.png")).write_bytes(b"one")
    before = fingerprint(photos, photos.parent / "known.json")
    write(photos / "dogs/2.png", b"two")
    assert fingerprint(photos, photos.parent / "known.json") != before


def test_a_pattern_has_the_digest_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("a/1.tar", "b/1.tar", "a/1.md", "a/.2.tar"):
        write(tmp_path / "raw" / name, b"one")
    pattern = tmp_path / "raw" / "*" / "*.tar"
    before = fingerprint(pattern, tmp_path / "known.json")
    write(tmp_path / "raw/a/1.md", b"two")
    write(tmp_path / "raw/a/.2.tar", b"two")
    assert fingerprint(pattern, tmp_path / "known.json") == before
    (tmp_path / "raw").rename(tmp_path / "copy")
    assert fingerprint(tmp_path / "copy" / "*" / "*.tar", tmp_path / "another.json") == before
    write(tmp_path / "copy/b/1.tar", b"two")
    assert fingerprint(tmp_path / "copy" / "*" / "*.tar", tmp_path / "another.json") != before


def test_a_csv_has_the_digest_of_itself_and_the_files_that_it_lists(tmp_path: Path) -> None:
    for name in ("raw/a/1.png", "raw/b/1.png", "raw/2.png", "secret.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, b"one")
    paths = ["a/1.png", "a/1.png", "./b\\1.png", "gone.png", "../secret.png", str(tmp_path / "secret.png"), "\0"]
    listing = write_csv(tmp_path / "raw" / "list.csv", [("path", "label"), *((path, "x") for path in paths)])

    before = fingerprint(listing, tmp_path / "known.json")
    write(tmp_path / "raw/2.png", b"two")
    write(tmp_path / "secret.png", b"two")
    assert fingerprint(listing, tmp_path / "known.json") == before
    (tmp_path / "raw").rename(tmp_path / "copy")
    listing = tmp_path / "copy" / "list.csv"
    assert fingerprint(listing, tmp_path / "another.json") == before
    digests = {before}
    for name in ("b/1.png", "gone.png", "list.csv"):
        write(tmp_path / "copy" / name, (tmp_path / "copy" / "list.csv").read_bytes() + b"c,y\r\n")
        digests.add(fingerprint(listing, tmp_path / "known.json"))
    assert len(digests) == 4


def test_a_file_and_a_missing_folder_have_digests(tmp_path: Path) -> None:
    nothing = fingerprint(tmp_path / "photos", tmp_path / "known.json")
    (tmp_path / "photos").write_bytes(b"a zip, which prepare refuses")
    assert fingerprint(tmp_path / "photos", tmp_path / "known.json") != nothing
    (tmp_path / "empty").mkdir()
    assert fingerprint(tmp_path / "empty", tmp_path / "known.json") != nothing


def test_the_command_records_folders_but_not_built_in_sources(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (photos / "dogs").unlink()  # prepare refuses a link to a folder
    parameters = project_parameters()["prepare"]

    def record(source: str) -> object:
        config = json.dumps(parameters | {"source": source})
        monkeypatch.setattr(sys, "argv", ["fingerprint", "--config", config, "--output", "data/raw.json"])
        module.main()
        return json.loads(Path("data/raw.json").read_text())

    assert record("embedded") == {"format": 1, "raw_data": None}
    assert record("photos") == {"format": 1, "raw_data": fingerprint(photos, tmp_path / "known.json")}
    copy = tmp_path / "copy"  # like DVC's copy for --temp, which has no untracked files
    copy.mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert record("photos") == {"format": 1, "raw_data": fingerprint(photos, tmp_path / "known.json")}
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "a.tar", in_class_folders(3))
    assert record("tars/*.tar") == record(str(tmp_path / "tars" / "a.t?r")) != record("photos")
    write(copy / "photos/1.png", b"one")
    assert record("photos") == {"format": 1, "raw_data": fingerprint(copy / "photos", tmp_path / "another.json")}


def test_the_digest_is_not_written_into_the_source(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = project_parameters()["prepare"] | {"source": str(photos)}
    for output in (photos / "raw.json", photos / "cats/raw.json"):
        options = ["--config", json.dumps(parameters), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", ["fingerprint", *options])
        with pytest.raises(InvalidInput, match="must not be, hold or lie in an input"):
            module.main()
        assert not output.exists()


@pytest.mark.parametrize("source", ["photos", "missing"])
def test_a_wrong_layout_is_refused_before_any_file_is_read(
    source: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the command would read a whole home directory that was named by mistake."""
    (photos / "dogs").unlink()  # a link to a folder is refused too
    write(photos / "dogs/1.png", b"one")
    (photos / "cats/more").mkdir()
    parameters = project_parameters()["prepare"]
    config = json.dumps(parameters | {"source": str(photos.parent / source)})
    monkeypatch.setattr(sys, "argv", ["fingerprint", "--config", config, "--output", str(photos.parent / "raw.json")])
    read: list[Path] = []
    monkeypatch.setattr(module, "_digest", lambda path: str(read.append(path)))
    with pytest.raises(InvalidInput, match=f"Received: source='.*{source}'"):
        module.main()
    assert read == []

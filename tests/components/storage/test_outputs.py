"""Outputs appear whole or not at all, and replace only an earlier output of the same kind."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation
from PIL import Image
from recipes import project_parameters

from components import prepare
from components.storage import output_kinds as kinds
from components.storage import outputs, paths, replacing
from components.storage.bucket import Address
from components.storage.output_kinds import Kind
from components.storage.outputs import Output, whole_output
from components.storage.overlap import require_apart
from gan_core.codecs.grid import image_grid, write_png
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import open_source

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Kind("a box", lambda content: content == b"box", "mark", lambda _: {"old", "new", "deep/old"})
FILE = Kind("a note", lambda content: content.startswith(b"note"))
"""A kind of folder and a kind of file."""


def write_folder(target: Path, *names: str) -> None:
    with whole_output(Output(target, FOLDER)) as folder:
        for name in (*names, "mark"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("box" if name == "mark" else name)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def assert_refused(target: Path, kind: Kind = FOLDER) -> None:
    with pytest.raises(InvalidInput, match=r"nothing else is replaced\. Received: "):
        outputs.require_writable(Output(target, kind))
    with (
        pytest.raises(InvalidInput, match=r"nothing else is replaced\. Received: "),
        whole_output(Output(target, kind)),
    ):
        raise AssertionError("the work must not begin")


def test_a_whole_output_replaces_an_earlier_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_output(Output(tmp_path / "deep" / "file", FILE)) as file:
            file.write_text(f"note {content}")
        write_folder(tmp_path / "deep" / "folder", content, f"deep/{content}")
    assert (tmp_path / "deep" / "file").read_text() == "note new"
    assert files(tmp_path / "deep" / "folder") == {"mark": "box", "new": "new", "deep/new": "deep/new"}
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["file", "folder"]


def test_files_that_the_user_added_to_an_output_are_kept(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", "old", "deep/old")
    (tmp_path / "folder" / "deep" / "mine.txt").write_text("mine")
    write_folder(tmp_path / "folder", "new")
    assert files(tmp_path / "folder") == {"mark": "box", "new": "new", "deep/mine.txt": "mine"}
    (tmp_path / "folder" / "other").write_text("mine")
    with pytest.raises(InvalidInput, match="replaces only files of an earlier one"):
        write_folder(tmp_path / "folder", "other")
    assert files(tmp_path / "folder") == {"mark": "box", "new": "new", "deep/mine.txt": "mine", "other": "mine"}


def test_a_marker_file_cannot_name_files_outside_the_output(tmp_path: Path) -> None:
    kind = Kind(
        "a box", lambda content: content == b"box", "mark", lambda _: {"../mine", str(tmp_path / "mine"), "x/mine"}
    )
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mark").write_text("box")
    (tmp_path / "folder" / "x").symlink_to(tmp_path / "elsewhere")
    with whole_output(Output(tmp_path / "folder", kind)) as folder:
        folder.mkdir()
        (folder / "mark").write_text("box")
    assert (tmp_path / "mine").exists()
    assert (tmp_path / "elsewhere" / "mine").exists()


def test_folders_and_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years")
    (tmp_path / "fifo").parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "empty").mkdir()
    for target in (
        thesis,
        thesis / ".." / "thesis",
        tmp_path / "note.txt",
        tmp_path / "fifo",
        Path("/"),
        Path("/dev/null"),
    ):
        assert_refused(target)
    for target in (thesis, tmp_path / "note.txt", tmp_path / "fifo", Path("/"), Path("/dev/null"), tmp_path / "empty"):
        assert_refused(target, FILE)
    for name in ("dangling", "circle"):
        assert_refused(tmp_path / name)
        assert_refused(tmp_path / name, FILE)
    (thesis / "mark").write_text("not a box")
    assert_refused(thesis)
    assert files(thesis) == {"chapter.txt": "years", "mark": "not a box"}
    assert (tmp_path / "note.txt").read_text() == "mine"


def test_an_empty_folder_and_the_working_directory_are_filled_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place"
    path.mkdir(mode=0o750)
    number = path.stat().st_ino
    monkeypatch.chdir(path)
    for content in ("old", "new"):
        write_folder(Path("."), content)
        assert files(Path(".")) == {"mark": "box", content: content}
    assert path.stat().st_ino == number
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_folder_is_followed_and_one_to_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "large disk")
    for content in ("old", "new"):
        write_folder(tmp_path / "folder", content)
    assert (tmp_path / "folder").is_symlink()
    assert files(tmp_path / "large disk") == {"mark": "box", "new": "new"}

    (tmp_path / "cache").write_text("note of DVC's cache")
    (tmp_path / "file").symlink_to(tmp_path / "cache")
    with whole_output(Output(tmp_path / "file", FILE)) as file:
        file.write_text("note new")
    assert (tmp_path / "file").read_text() == "note new"
    assert (tmp_path / "cache").read_text() == "note of DVC's cache"


def test_a_mount_point_is_filled_in_place(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    try:
        for content in ("old", "new"):
            write_folder(path, content)
            assert files(path) == {"mark": "box", content: content}
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_failure_leaves_the_output_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("note old")
    with pytest.raises(ZeroDivisionError), whole_output(Output(tmp_path / "file", FILE)) as file:
        file.write_text("half")
        raise ZeroDivisionError
    write_folder(tmp_path / "folder", "old")
    with pytest.raises(FileNotFoundError), whole_output(Output(tmp_path / "folder", FOLDER)):
        pass
    assert files(tmp_path) == {"file": "note old", "folder/mark": "box", "folder/old": "old"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failure_while_files_are_moved_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "folder", "old")
    move, failures = replacing._move, iter([OSError("the disk is gone")])

    def fail_once(source: Path, target: Path, name: str) -> None:
        if name == "mark" and target == tmp_path / "folder":
            for failure in failures:
                raise failure
        move(source, target, name)

    monkeypatch.setattr(replacing, "_move", fail_once)
    with pytest.raises(OSError, match="the disk is gone"):
        write_folder(tmp_path / "folder", "new")
    assert files(tmp_path) == {"folder/mark": "box", "folder/old": "old"}


_KILLED = """
import os, signal, sys
from pathlib import Path
from components.storage import replacing
from components.storage.output_kinds import Kind
from components.storage.outputs import Output, whole_output
kind = Kind("a box", lambda content: content == b"box", "mark", lambda _: {"old", "new"})
moves, move = iter(range(9)), replacing._move
def counted(*arguments):
    if next(moves) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    move(*arguments)
replacing._move = counted
with whole_output(Output(Path(sys.argv[1]), kind)) as folder:
    folder.mkdir()
    (folder / "new").write_text("new")
    (folder / "mark").write_text("box")
    if sys.argv[2] == "-1":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moves", [-1, 0, 1, 2, 3])
def test_the_next_start_undoes_an_interrupted_replacement(moves: int, tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", "old")
    killed = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "folder", str(moves)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    outputs.require_writable(Output(tmp_path / "folder", FOLDER))
    assert files(tmp_path) == {"folder/mark": "box", "folder/old": "old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_an_earlier_version_are_restored_or_removed(tmp_path: Path) -> None:
    for left, inside in ((".folder.abcd_123", "old"), (".folder.x0000000", "new")):
        (tmp_path / left / inside).mkdir(parents=True)
        (tmp_path / left / inside / "mark").write_text("box")
    outputs.require_writable(Output(tmp_path / "folder", FOLDER))
    assert files(tmp_path) == {"folder/mark": "box"}
    assert len(list(tmp_path.iterdir())) == 1


def test_temporary_folders_of_running_processes_and_other_hidden_folders_are_kept(tmp_path: Path) -> None:
    (tmp_path / ".folder.settings").mkdir()
    (tmp_path / ".folder.settings" / "mine").touch()
    with whole_output(Output(tmp_path / "folder", FOLDER)) as folder:
        outputs.require_writable(Output(tmp_path / "folder", FOLDER))
        folder.mkdir()
        (folder / "mark").write_text("box")
    assert files(tmp_path) == {"folder/mark": "box", ".folder.settings/mine": ""}


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (Path("/proc/x/output"), tmp_path / ("x" * 300)):
        with pytest.raises(InvalidInput, match="The output's folder must be writable"):
            outputs.require_writable(Output(path, FILE))
    rule = f"must be a folder, but {tmp_path}/file is a file"
    for path in (tmp_path / "file" / "output", tmp_path / "file" / "a" / "output"):
        with pytest.raises(InvalidInput, match=rule):
            outputs.require_writable(Output(path, FILE))
    with pytest.raises(InvalidInput, match=rule):
        outputs.require_folder(tmp_path / "file")


def test_a_check_or_a_failure_leaves_no_empty_folder(tmp_path: Path) -> None:
    output = Output(tmp_path / "a" / "b" / "output", FILE)
    outputs.require_writable(output)
    with pytest.raises(InvalidInput, match="failed"), outputs.whole_output(output):
        raise InvalidInput("failed")
    assert list(tmp_path.iterdir()) == []


def write_grid(path: Path) -> bytes:
    write_png(path, image_grid(blobs(4), 2))
    return path.read_bytes()


def test_each_kind_recognises_only_its_own_outputs(tmp_path: Path) -> None:
    signed = write_grid(tmp_path / "grid.png")
    Image.open(tmp_path / "grid.png").save(tmp_path / "unsigned.png", pnginfo=None)
    Image.fromarray(blobs(1)[0, :, :, 0]).save(tmp_path / "photo.png")
    np.savez(tmp_path / "theirs.npz", mu=np.zeros(2), sigma=np.eye(2))
    np.savez(tmp_path / "ours.npz", mu=np.zeros(2), sigma=np.eye(2), extractor=np.asarray("x"))
    photo, theirs = (tmp_path / "photo.png").read_bytes(), (tmp_path / "theirs.npz").read_bytes()
    dataset = write_dataset(tmp_path / "data", blobs(2), blobs(2), classes=2)
    own = {
        kinds.SAMPLES: [signed, (tmp_path / "unsigned.png").read_bytes(), b""],
        kinds.STATISTICS: [(tmp_path / "ours.npz").read_bytes()],
        kinds.SCORES: [evaluation(1.0, 0.0).model_dump_json().encode()],
        kinds.HISTORY: [b"images_seen,generator_loss\n", b"a,images_seen\r\n1,2"],
        kinds.VERSION: [b'{"md5":"0"}', b"gs://bucket/x#sha256-0", b""],
        kinds.PREPARED: [(dataset / "manifest.json").read_bytes()],
    }
    everything = [content for contents in own.values() for content in contents if content]
    others = [photo, theirs, b"{}", b"[" * 10**5, b"{", b"\xff\xfe", b'{"name": "app", "version": "1"}', b"PK\3\4"]
    for kind, contents in own.items():
        for content in contents:
            assert kind.is_own(content), kind.what
        for content in [*others, *(content for content in everything if content not in contents)]:
            assert not kind.is_own(content), (kind.what, content[:40])
    shards = {f"{split}-00000{part}.npy" for split in ("train", "held_out") for part in ("", "-labels")}
    assert kinds.PREPARED.owned(own[kinds.PREPARED][0]) == {"manifest.json", "preview.png", *shards}


@pytest.mark.parametrize("name", ["cache", "checkpoints"])
def test_a_cache_or_checkpoint_folder_inside_an_input_is_refused(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "link").symlink_to(raw)
    for path in (raw, raw / "new", tmp_path / "link" / "new"):
        arguments = argparse.Namespace(dataset=raw, **{name: path})
        with pytest.raises(InvalidInput, match="must not be or lie in an input"), paths.local_paths(arguments):
            pass
    mirrored = argparse.Namespace(
        dataset=paths.Input.parse("gs://bucket/raw"), checkpoints=Address.parse("gs://bucket/raw/c")
    )
    with pytest.raises(InvalidInput, match="must not be or lie in an input"), paths.local_paths(mirrored):
        pass
    with paths.local_paths(argparse.Namespace(dataset=raw, **{name: tmp_path / "raw2"})):
        pass
    with paths.local_paths(argparse.Namespace(dataset=raw, **{name: tmp_path})):  # the folder may contain an input
        pass


def test_an_address_in_place_of_a_folder_is_refused_and_shown_as_given() -> None:
    with pytest.raises(InvalidInput, match=r"folder of this machine. Received: gs://bucket/cache$"):
        paths.local_path("gs://bucket/cache")
    with pytest.raises(InvalidInput, match=r"Received: source='gs://bucket/raw'$"):
        open_source("gs://bucket/raw")


def test_outputs_that_overlap_with_inputs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "raw" / "cats").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    (tmp_path / "file").touch()
    (tmp_path / "link to file").symlink_to(tmp_path / "file")
    raw, bucket = tmp_path / "raw", paths.Input.parse("gs://bucket/raw")
    for written, read in (
        (raw, raw),
        (raw, raw / "cats"),
        (raw / "new" / "deep", raw),
        (tmp_path, raw),
        (tmp_path / "link", raw),
        (raw, tmp_path / "link"),
        (tmp_path / "link" / "new", raw),
        (raw / "cats" / ".." / "new", tmp_path / "link" / "new"),
        (tmp_path / "link to file", tmp_path / "file"),
        (Path(os.path.relpath(raw)), raw),
        (paths.Input.parse("gs://bucket/raw/x"), bucket),
        (paths.Input.parse("gs://bucket"), bucket),
        (paths.Input.parse("gs://bucket/raw/"), bucket),
    ):
        for first, second in ((([written], [read])), (([written, read], []))):
            with pytest.raises(InvalidInput, match=r"must not be, hold or lie in .*\. Received: "):
                require_apart(first, second, [])
    require_apart([raw / "new", tmp_path / "raw2", paths.Input.parse("gs://bucket/raw2")], [raw / "cats", bucket], [])
    require_apart([raw / "new"], [], [raw])
    with pytest.raises(InvalidInput):
        require_apart([raw], [], [raw / "checkpoints"])


def run_prepare(monkeypatch: pytest.MonkeyPatch, source: str, *options: str) -> None:
    section = project_parameters()["prepare"]
    config = json.dumps({**section, "source": source, "max_rejected_fraction": 0.9})
    monkeypatch.setattr(sys, "argv", ["prepare", "--config", config, *options])
    prepare.main()


def test_prepare_never_removes_raw_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cats = tmp_path / "raw" / "cats"
    cats.mkdir(parents=True)
    for number, image in enumerate(blobs(12)):
        Image.fromarray(image[:, :, 0]).save(cats / f"{number}.png")
    before = sorted(tmp_path.rglob("*"))
    for path in ("raw/cats", "raw", "raw/cats/", "./raw/../raw/cats", "~/raw", ".", "/", "raw/cats/new", ""):
        with pytest.raises(InvalidInput):
            run_prepare(monkeypatch, "raw/cats", f"--dataset={path}")
        assert sorted(tmp_path.rglob("*")) == before, path
    for _ in range(2):
        run_prepare(monkeypatch, "raw/cats", "--dataset=~/prepared/")
    assert (tmp_path / "prepared" / "manifest.json").exists()

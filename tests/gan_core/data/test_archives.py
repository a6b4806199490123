"""Tests of gan_core/data/archives/source.py and of hostile tars."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gan_core.data.archives import source as archives
from gan_core.data.prepare import prepare
from gan_core.data.sources import RawItem, Source
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.modalities.choice import open_source
from tests.gan_core.data.archives import CLASSES, in_class_folders, png, write_folder, write_tar, write_zip

Settings = Callable[..., Any]


def labelled(source: Source) -> dict[str, str | None]:
    """Returns the class of each item, None without a label, by path."""
    return {item.path: source.classes[item.label] if item.label >= 0 else None for item in source}


def reasons(source: Source) -> dict[str, str]:
    """Returns why items cannot be opened, by path."""
    found = {}
    for item in source:
        try:
            item.open()
        except UnreadableItem as error:
            found[item.path] = str(error)
    return found


def with_label_files(labels: Sequence[object], suffix: str = "cls") -> list[tuple[str, bytes]]:
    """Returns a sample for each label, in WebDataset's form."""
    return [
        file
        for number, label in enumerate(labels)
        for file in (
            (f"{number:04}.{suffix}", (str(label) if suffix == "cls" else json.dumps({"label": label})).encode()),
            (f"{number:04}.png", png(number)),
        )
    ]


ZIPS = ("classes.zip", "cls.zip", "pets.zip")


def test_a_folder_and_its_archives_have_one_digest(tmp_path: Path, prepare_config: Settings) -> None:
    files = in_class_folders(30)
    write_folder(tmp_path / "folder", files)
    write_tar(tmp_path / "classes.tar", files)
    write_tar(tmp_path / "below.tar", [(f"./data/train/{name}", content) for name, content in reversed(files)])
    write_tar(tmp_path / "json.tar", with_label_files([CLASSES[number % 3] for number in range(30)], "json"))
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "README.md").touch()
    for number in range(3):
        write_tar(tmp_path / "many" / f"{number}.tar", files[number::3])
    write_zip(tmp_path / "classes.zip", files)
    write_zip(tmp_path / "cls.zip", with_label_files([CLASSES[number % 3] for number in range(30)], "json"))
    write_zip(tmp_path / "pets.zip", [(f"pets/{name}", content) for name, content in files])

    digests = set()
    for number, name in enumerate(("folder", "classes.tar", "below.tar", "json.tar", "many", "many/*.tar", *ZIPS)):
        config = prepare_config(source=str(tmp_path / name))
        manifest = prepare(open_source(config.source), config, tmp_path / f"prepared-{number}")
        assert [entry.name for entry in manifest.classes] == list(CLASSES)
        digests.add(manifest.digest)
    assert len(digests) == 1


def test_numbers_of_label_files_are_class_names_in_alphabetical_order(tmp_path: Path) -> None:
    """As folders with these names would be."""
    source = open_source(str(write_tar(tmp_path / "a.tar", with_label_files([10, 9, "010\n"]))))

    assert list(source.classes) == ["10", "9"]
    assert labelled(source) == {"0000.png": "10", "0001.png": "9", "0002.png": "10"}


def test_the_label_of_json_files_is_named_or_none(tmp_path: Path) -> None:
    records = [{"fine": number, "coarse": "x" if number else "y", "width": 16} for number in range(3)]
    files = [("a.cls", b"7"), ("a.png", png(9)), ("a.json", b'{"fine": 1, "coarse": "y"}')]
    for number, record in enumerate(records):
        files += [(f"{number}.png", png(number)), (f"{number}.json", json.dumps(record).encode())]
    path = str(write_tar(tmp_path / "a.tar", files))

    assert list(open_source(path, label="fine").classes) == ["0", "1", "2"]
    assert list(open_source(path, label="coarse").classes) == ["x", "y"]
    assert labelled(open_source(path, label="none")) == dict.fromkeys(("a.png", "0.png", "1.png", "2.png"))
    assert labelled(open_source(path))["a.png"] == "7"
    assert "no label" in reasons(open_source(path))["0.png"]

    write_tar(tmp_path / "a.tar", files[3:])
    for label in ("auto", "size"):
        with pytest.raises(InvalidInput, match=rf"'prepare\.label' must name .*none.*'{label}'.*numbers fine, width"):
            open_source(path, label=label)


def test_a_label_is_refused_where_it_would_be_ignored(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", in_class_folders(3))
    write_tar(tmp_path / "texts.tar", [("a.txt", b"one"), ("b.txt", b"two")])
    for source in ("digits", str(tmp_path / "folder"), str(tmp_path / "texts.tar")):
        with pytest.raises(InvalidInput, match=r"'prepare\.label' must be auto.*Received: label='none'"):
            open_source(source, label="none")


def test_items_of_several_archives_are_named_with_their_archive(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", [("a.png", png(number))])
    write_tar(tmp_path / ".hidden.tar", [("a.png", png(0))])

    source = open_source(str(tmp_path / "*.tar"))

    assert (list(source.classes), source.count) == ([], 2)
    assert labelled(source) == {"0.tar/a.png": None, "1.tar/a.png": None}


def test_a_tar_of_one_folder_has_no_classes(tmp_path: Path) -> None:
    source = open_source(str(write_tar(tmp_path / "a.tar", [("photos/1.png", png(1)), ("photos/2.png", png(2))])))

    assert list(source.classes) == []


def test_hidden_and_other_members_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("cat/1.png", "cat/._1.png", "__MACOSX/cat/1.png", "dog/1.png", "dog/notes.md")

    with caplog.at_level("INFO"):
        source = open_source(str(write_tar(tmp_path / "a.tar", [(name, png(0)) for name in names])))

    assert labelled(source) == {"cat/1.png": "cat", "dog/1.png": "dog"}
    assert "Ignored 1 files" in caplog.text


def open_size(item: RawItem) -> tuple[int, int]:
    size: tuple[int, int] = item.open().size
    return size


def test_items_are_opened_in_other_processes(tmp_path: Path) -> None:
    source = open_source(str(write_tar(tmp_path / "a.tar", in_class_folders(6))))

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(open_size, source)) == [(16, 16)] * 6


def test_a_raw_item_holds_no_content(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(10**6)

    (item,) = open_source(str(write_tar(tmp_path / "a.tar", [("a.png", noise)])))

    assert len(pickle.dumps(item)) < 1000


def test_listing_keeps_no_names_in_memory(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = write_tar(tmp_path / f"{count}.tar", ((f"{number:060}.png", b"") for number in range(count)))
        tracemalloc.start()
        assert sum(1 for _ in open_source(str(path))) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(1000) < peak(100) + 2**17


def test_sounds_and_texts_come_in_tars_too(tmp_path: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100), 8000, format="WAV")
    sounds = open_source(str(write_tar(tmp_path / "a.tar", [("0.wav", file.getvalue()), ("0.cls", b"4")])))
    (sound,) = sounds
    assert (sounds.modality, list(sounds.classes), sound.open()) == ("audio", ["4"], file.getvalue())

    texts = open_source(str(write_tar(tmp_path / "b.tar", [("x/b.txt", b"one\ntwo\n"), ("x/a.txt", b"three")])))
    assert (texts.modality, list(texts.classes)) == ("text", ["a", "b"])
    assert [(item.label, item.open()) for item in texts] == [(0, "three"), (1, "one"), (1, "two")]


def test_a_folder_that_holds_raw_files_and_an_archive_is_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, in_class_folders(6))
    write_tar(tmp_path / "original.tar", in_class_folders(30))

    assert open_source(str(tmp_path)).count == 6


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([("a.png", png(1))], "no label"),
        ([("a.png", png(1)), ("b.cls", b"1"), ("b.png", png(2)), ("a.cls", b"1")], "no label"),
        ([("a.cls", b"one"), ("a.png", png(1))], "whole number"),
        ([("a.cls", b"1" * 2000), ("a.png", png(1))], "more than 1024 bytes"),
        ([("a.cls", b"1" * 900), ("a.png", png(1))], "1 to 255 characters"),
        ([("a.json", b"{"), ("a.png", png(1))], "JSON"),
        ([("a.json", b"[" * 10**5), ("a.png", png(1))], "JSON"),
        ([("a.json", b'{"label": ' + b"1" * 5000 + b"}"), ("a.png", png(1))], "JSON"),
        ([("a.json", b'{"label": [1, 0]}'), ("a.png", png(1))], "whole number or a text"),
        ([("a.json", b'{"label": true}'), ("a.png", png(1))], "whole number or a text"),
        ([("a.json", b'{"label": ""}'), ("a.png", png(1))], "1 to 255 characters"),
        ([("a.json", b'{"caption": "x"}'), ("a.png", png(1))], "no label"),
        ([("a.cls", b"1"), ("a.png", png(1)), ("a.png", png(2))], "2 images"),
        ([("a.cls", b"1"), ("a.left.png", png(1)), ("a.right.png", png(2))], "2 images"),
        ([("a.cls", b"1"), ("a.cls", b"2"), ("a.png", png(2))], "several label files"),
        ([*[("a.md", b"")] * 64, ("a.cls", b"1"), ("a.png", png(2))], "follow each other"),
    ],
)
def test_a_sample_without_one_clear_label_is_set_aside(
    files: list[tuple[str, bytes]], reason: str, tmp_path: Path, prepare_config: Settings
) -> None:
    good = with_label_files([1, 2] * 20)
    config = prepare_config(source=str(write_tar(tmp_path / "a.tar", good + files)), max_rejected_fraction=0.1)

    manifest = prepare(open_source(config.source), config, tmp_path / "prepared")

    assert manifest.rejected
    assert {entry.path[0] for entry in manifest.rejected} == {"a"}
    assert all(reason in entry.reason for entry in manifest.rejected)
    assert [entry.name for entry in manifest.classes] == ["1", "2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"must contain images .*\. Received: source='.*' with 0 other files"),
        (["a.md"], "with 1 other files"),
        (["cat/1.png", "2.png"], r"one folder for each class.*in the folders \(none\), cat"),
        (["cat/a/1.png", "dog/2.png"], r"one folder for each class.*cat/a, dog"),
        (["e\u0301/1.png", "\u00e9/1.png"], "same class name"),
        (["1.png", "2.wav"], "one modality.*1 images, 1 clips"),
    ],
)
def test_an_invalid_layout_is_refused(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        open_source(str(write_tar(tmp_path / "a.tar", [(name, png(0)) for name in names])))


def test_too_many_classes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_CLASSES", 2)
    for files in (in_class_folders(3), with_label_files([1, 2, 3])):
        with pytest.raises(InvalidInput, match="at most 2 folders and classes"):
            open_source(str(write_tar(tmp_path / "a.tar", files)))


@pytest.mark.parametrize("name", ["../../evil/a.png", "/evil/a.png", "..\\evil\\a.png", "./evil/../evil/a.png"])
def test_names_that_lead_out_of_the_archive_write_nothing(name: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [(name.replace("evil/..", "."), png(1)), ("good/a.png", png(2))])

    source = open_source(str(path))

    assert list(source.classes) == ["evil", "good"]
    assert not reasons(source)
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_not_utf_8_or_control_a_terminal_are_escaped(tmp_path: Path) -> None:
    files = [("\udce9/1.png", png(1)), ("a\x1b[2J/1.png", png(2))]

    source = open_source(str(write_tar(tmp_path / "a.tar", files, tarfile.GNU_FORMAT)))

    assert labelled(source) == {"\\xe9/1.png": "\\xe9", "a\\x1b[2J/1.png": "a\\x1b[2J"}


def test_links_devices_and_sparse_files_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("hard", tarfile.LNKTYPE), ("soft", tarfile.SYMTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, str(tmp_path / "secret.png")
            archive.addfile(member)
        member = tarfile.TarInfo("sparse.png")
        member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**40)}
        archive.addfile(member)

    found = reasons(open_source(str(tmp_path / "a.tar")))

    assert found.keys() == {"hard.png", "soft.png", "pipe.png", "sparse.png"}
    assert found.pop("sparse.png") == "a sparse file in the archive"
    assert set(found.values()) == {"a link or a device in the archive, not a file"}


def test_a_large_member_is_set_aside_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a.tar", [("a.png", bytes(2**20 + 1)), ("b.png", png(1))])
    monkeypatch.setattr(archives, "LARGEST_FILE_BYTES", 2**20)

    assert reasons(open_source(str(path))) == {"a.png": "more than 1048576 bytes"}


def test_an_archive_that_has_become_shorter_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("a.png", png(1))])
    (item,) = open_source(str(path))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UnreadableItem, match="become shorter"):
        item.open()
    path.unlink()
    with pytest.raises(UnreadableItem, match="cannot be read"):
        item.open()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(**values: str) -> bytes:
    member = tarfile.TarInfo("a.png")
    member.pax_headers = values
    return member.tobuf(tarfile.PAX_FORMAT)


def whole() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in in_class_folders(6):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"no archive" * 200, "invalid header"),
        (gzip.compress(whole()), "invalid header"),
        (whole()[:700], "ends after the file"),
        (whole()[:1024], "no end mark"),
        (whole()[: whole().rindex(b".png") + 512], "end"),
        (whole().rstrip(b"\0")[: 512 * 8], "no end mark"),
        (whole()[:1024] + b"x" * 512 + whole()[1536:], "no end mark"),
        (whole() + whole(), "no end mark"),
        (header("a.png", 2**62) + bytes(2048), "ends after the file"),
        (header("a.png", 2**80) + bytes(2048), "Received"),
        (header("a.png", -512) + bytes(2048), "negative|invalid"),
        (pax(size="-1024") + bytes(2048), "negative|invalid"),
        (header("x", 2**40, tarfile.XHDTYPE) + bytes(2048), "header has more than 1048576 bytes"),
        (header("x", 2**40, tarfile.GNUTYPE_LONGNAME) + bytes(2048), "header has more than 1048576 bytes"),
        (header("x", 512, tarfile.XHDTYPE) + b"9 a=b\n".ljust(512, b"\0"), "missing|header|end"),
        (header("x", 0, tarfile.XHDTYPE) * 3000, "header|recursion"),
        (pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + b"1" * 4096, "header|Received"),
    ],
)
def test_a_damaged_archive_is_refused_in_one_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)

    with pytest.raises(InvalidInput, match=rf"\.tar must be a whole, uncompressed tar.*({message}).*a\.tar") as caught:
        open_source(str(tmp_path / "a.tar"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_raises_anything_else(seed: int, tmp_path: Path) -> None:
    """Flips bytes of headers and label files: the archive is refused, or items are set aside."""
    content = np.frombuffer(whole().replace(b".png", b".wav"), np.uint8).copy()
    generator = np.random.default_rng(seed)
    for place in generator.integers(0, 6, 3) * 1024 + generator.integers(0, 160, 3):
        content[place] = generator.integers(256)
    (tmp_path / "a.tar").write_bytes(content.tobytes())
    with contextlib.suppress(InvalidInput):
        reasons(open_source(str(tmp_path / "a.tar")))


def test_a_link_out_of_a_folder_of_archives_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write_tar(tmp_path / "secret.tar", in_class_folders(6))
    (tmp_path / "raw" / "a.tar").symlink_to(tmp_path / "secret.tar")
    for source in (tmp_path / "raw", tmp_path / "raw" / "*.tar"):
        with pytest.raises(InvalidInput, match=r"leads out of the folder.*raw/a\.tar.*secret\.tar"):
            open_source(str(source))
    assert open_source(str(tmp_path / "raw" / "a.tar")).count == 6  # named by the user


def test_a_compressed_tar_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(whole()))
    with pytest.raises(
        InvalidInput, match=r"be an archive \(\.parquet, \.tar, \.zip\) or .*\. Received: .*a\.tar\.gz'"
    ):
        open_source(str(tmp_path / "a.tar.gz"))


def test_a_pattern_without_matches_or_with_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a pattern of archives\. Received: source='.*\*\.tar'"):
        open_source(str(tmp_path / "*.tar"))
    write_folder(tmp_path, [("a.png", png(0))])
    with pytest.raises(InvalidInput, match=r"must match only archives \(.*\.tar.*\).*a\.png"):
        open_source(str(tmp_path / "*"))

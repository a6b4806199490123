"""Tests of gan_core/data/archives/zips.py and dataset_json.py: data sets in zips, hostile ones too."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from gan_core.data.archives import source as archives
from gan_core.data.prepare import prepare
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.modalities.choice import open_source
from tests.gan_core.data.archives import damage, in_class_folders, png, write_folder, write_zip
from tests.gan_core.data.test_archives import labelled, open_size, reasons

_ROOT = Path(__file__).resolve().parents[3]
Settings = Callable[..., Any]


def style_gan(labels: object, count: int = 30) -> list[tuple[str, bytes]]:
    """Returns the files of a zip as StyleGAN's dataset_tool.py writes them."""
    names = [f"{number // 1000:05}/img{number:08}.png" for number in range(count)]
    return [*((name, png(number)) for number, name in enumerate(names)), ("dataset.json", json.dumps(labels).encode())]


def listed(numbers: list[int]) -> dict[str, object]:
    return {"labels": [[f"00000/img{place:08}.png", number] for place, number in enumerate(numbers)]}


@pytest.mark.parametrize("labels", [listed([number % 3 for number in range(30)]), {"labels": None}])
def test_a_zip_of_style_gan_and_a_folder_have_one_digest(
    labels: dict[str, object], tmp_path: Path, prepare_config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = "" if labels["labels"] is None else "{}/"
    write_folder(tmp_path / "folder", [(f"{folder.format(n % 3)}{n}.png", png(n)) for n in range(30)])
    write_zip(tmp_path / "a.zip", style_gan(labels))

    manifests = []
    for name in ("folder", "a.zip"):
        config = prepare_config(source=str(tmp_path / name))
        manifests.append(prepare(open_source(config.source), config, tmp_path / f"prepared-{name}"))

    assert len({manifest.digest for manifest in manifests}) == 1
    assert not [record for record in caplog.records if "Ignored" in record.getMessage()]
    assert [entry.name for entry in manifests[1].classes] == (["0", "1", "2"] if folder else [])


def test_the_folders_of_style_gan_are_no_classes_even_without_labels(tmp_path: Path) -> None:
    files = [("00000/a.png", png(1)), ("00001/b.png", png(2))]
    assert list(open_source(str(write_zip(tmp_path / "a.zip", files))).classes) == ["00000", "00001"]

    write_zip(tmp_path / "a.zip", [*files, ("dataset.json", b'{"labels": null}')])
    assert labelled(open_source(str(tmp_path / "a.zip"))) == {"00000/a.png": None, "00001/b.png": None}

    write_zip(tmp_path / "a.zip", [*files, ("dataset.json", b'{"labels": [["00000/a.png", 5]]}')])
    assert labelled(open_source(str(tmp_path / "a.zip"))) == {"00000/a.png": "5", "00001/b.png": None}
    assert reasons(open_source(str(tmp_path / "a.zip"))) == {"00001/b.png": "dataset.json gives it no label"}
    assert list(open_source(str(tmp_path / "a.zip"), label="none").classes) == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b'{"labels": 3}', b'{"labels": [["a.png"]]}', b'{"labels": [["a.png", [0, 1]]]}'),
        *(b'{"labels": [[1, 1]]}', b'{"labels": [["a.png", "x"]]}', b'{"labels": [["a.png", true]]}', b"[" * 10**5),
        b'{"labels": [["a.png", 1], ["a.png", 2]]}',
    ],
)
def test_a_list_of_labels_of_another_form_is_refused(content: bytes, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("a.png", png(1)), ("dataset.json", content)])
    with pytest.raises(InvalidInput, match=r"^dataset\.json in a zip must be .*Received: .*a\.zip$"):
        open_source(str(path))


def test_members_are_opened_in_other_processes_and_threads(tmp_path: Path) -> None:
    items = list(open_source(str(write_zip(tmp_path / "a.zip", in_class_folders(30)))))

    assert max(len(pickle.dumps(item)) for item in items) < 1000
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(open_size, items)) == [(16, 16)] * 30
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(open_size, items)) == [(16, 16)] * 30


def test_forked_processes_do_not_share_the_position_in_the_file(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", ((f"{number}.png", bytes([number]) * 10**5) for number in range(200)))
    program = """
import os, sys
from gan_core.data.archives.zips import zip_members
from pathlib import Path
members = list(zip_members(Path(sys.argv[1])))
members[0].read(10**6)
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        children.clear()
        break
    children.append(child)
assert all(member.read(10**6) == bytes([int(member.name[:-4])]) * 10**5 for member in members * 3)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.zip")], cwd=_ROOT, check=True)


def test_hidden_members_are_ignored_and_names_are_escaped(tmp_path: Path) -> None:
    names = ("__MACOSX/cat/1.png", "cat/._1.png", "../../cat/1.png", "/d\x1b[2J\\1.png", "dog/Thumbs.db")
    path = write_zip(tmp_path / "a.zip", [(name, png(1)) for name in names])

    assert labelled(open_source(str(path))) == {"cat/1.png": "cat", "d\\x1b[2J/1.png": "d\\x1b[2J"}
    assert list(tmp_path.iterdir()) == [path]


def test_names_in_utf_8_without_its_flag_are_read_as_utf_8(tmp_path: Path) -> None:
    """The programs of macOS write no flag. Names that are no UTF-8 are in the code page of DOS."""
    names = ("e\u0301te\u0301/1.png", "猫/1.png", "dog/1.png")
    content = bytearray(write_zip(tmp_path / "a.zip", [(name, png(1)) for name in names]).read_bytes())
    for entry in re.finditer(rb"PK\x01\x02.{4}|PK\x03\x04..", bytes(content), re.DOTALL):
        content[entry.end() + 1] &= ~8  # the flag of UTF-8, in the directory and before each file
    (tmp_path / "a.zip").write_bytes(content)
    assert labelled(open_source(str(tmp_path / "a.zip"))) == dict(zip(names, ("été", "猫", "dog"), strict=True))
    assert not reasons(open_source(str(tmp_path / "a.zip")))

    dos = bytes(content).replace("猫".encode(), "aé".encode("cp437") + b"b")
    (tmp_path / "a.zip").write_bytes(dos)
    assert list(open_source(str(tmp_path / "a.zip")).classes) == ["aéb", "dog", "été"]


def test_bombs_links_and_encrypted_members_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(2**24))
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", png(1))
        archive.writestr("secret.png", png(1))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1  # the flag of encryption, in the directory's last entry
    (tmp_path / "a.zip").write_bytes(content)
    monkeypatch.setattr(archives, "LARGEST_FILE_BYTES", 2**20)

    found = reasons(open_source(str(tmp_path / "a.zip")))

    assert found.keys() == {"bomb.png", "link.png", "secret.png"}
    assert found["bomb.png"] == "more than 1048576 bytes"
    assert found["link.png"] == "a link in the archive, not a file"
    assert "the archive cannot be read: " in found["secret.png"]


def test_a_changed_archive_is_noticed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("a.png", png(1))])
    (item,) = open_source(str(path))
    item.open()
    write_zip(path, [("b.png", png(2) * 2)])
    with pytest.raises(UnreadableItem, match="cannot be read"):
        item.open()
    path.unlink()
    with pytest.raises(UnreadableItem, match="cannot be read: No such file or directory"):
        item.open()


def test_an_empty_name_is_ignored(tmp_path: Path) -> None:
    content = write_zip(tmp_path / "a.zip", [("x", b"x"), ("a.png", png(1))]).read_bytes()
    directory = content.index(b"PK\1\2")
    assert content[directory + 28] == 1  # the length of the name, which is cut off
    cut = content[: directory + 28] + b"\0" + content[directory + 29 : directory + 46] + content[directory + 47 :]
    end = cut.index(b"PK\5\6")
    size = int.from_bytes(cut[end + 12 : end + 16], "little") - 1
    (tmp_path / "a.zip").write_bytes(cut[: end + 12] + size.to_bytes(4, "little") + cut[end + 16 :])

    assert labelled(open_source(str(tmp_path / "a.zip"))) == {"a.png": None}


def test_a_damaged_or_empty_zip_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", in_class_folders(6)).read_bytes()
    for content in (b"", b"no zip" * 100, whole[:-1], whole[: len(whole) // 2]):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(InvalidInput, match=r"^A \.zip must be a whole zip archive: .*Received: .*a\.zip$"):
            open_source(str(tmp_path / "a.zip"))
    with pytest.raises(InvalidInput, match=r"must contain images"):
        open_source(str(write_zip(tmp_path / "a.zip", [])), "image")


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_raises_anything_else(seed: int, tmp_path: Path) -> None:
    """Flips bytes anywhere: the archive is refused, or items are set aside."""
    labels = json.dumps({"labels": [["0.wav", 0], ["1.wav", 1]]}).encode()
    path = write_zip(tmp_path / "a.zip", [("0.wav", png(0)), ("1.wav", png(1)), ("dataset.json", labels)])
    damage(path, seed, 200 if seed % 2 else None)  # the directory, or anywhere
    with contextlib.suppress(InvalidInput):
        reasons(open_source(str(path)))

"""Tests of gan_core/data/listing.py: CSVs of paths or texts, also hostile ones."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from gan_core.data import csv_table, listing
from gan_core.data.prepare import prepare
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import open_source
from tests.gan_core.data.archives import png, write_csv, write_folder
from tests.gan_core.data.test_archives import labelled, open_size, reasons

Settings = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `raw` with the images 0.png to 29.png."""
    return write_folder(tmp_path / "raw", [(f"{number}.png", png(number)) for number in range(30)])


@pytest.mark.parametrize(
    "content",
    [
        "path,label\n0.png,ant\n1.png,bee\n",
        "\ufeffpath,label\r\n0.png,ant\r\n1.png,bee",
        'path, label\n\n"0.png", "ant"\n1.png, bee\n\n',
        "label,id,path\nant,7,./0.png\nbee,8,.\\1.png\n",
        "file_name,label,text\n0.png,ant,an ant\n1.png,bee,a bee\n",
    ],
)
def test_each_line_is_an_item_with_its_label(content: str, folder: Path) -> None:
    (folder / "list.CSV").write_text(content, encoding="utf-8")

    source = open_source(str(folder / "list.CSV"))

    assert (source.modality, source.count, list(source.classes)) == ("image", 2, ["ant", "bee"])
    assert labelled(source) == {"0.png": "ant", "1.png": "bee"}
    assert not reasons(source)


def test_the_label_column_is_named_or_none(folder: Path) -> None:
    lines = [("path", "breed", "age"), ("0.png", "e\u0301", "010"), ("1.png", "\u00e9", "9")]
    path = str(write_csv(folder / "list.csv", lines))

    assert labelled(open_source(path, label="breed")) == {"0.png": "\u00e9", "1.png": "\u00e9"}
    assert list(open_source(path, label="age").classes) == ["010", "9"]
    assert labelled(open_source(path, label="none")) == {"0.png": None, "1.png": None}
    for label in ("auto", "path", "colour"):
        with pytest.raises(InvalidInput, match=rf"'prepare\.label' must name .*none.*label='{label}'.* breed, age$"):
            open_source(path, label=label)


def test_sounds_and_texts_are_listed_too(folder: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100), 8000, format="WAV")
    write_folder(folder, [("a.wav", file.getvalue())])
    (sound,) = sounds = open_source(str(write_csv(folder / "sounds.csv", [("path", "label"), ("a.wav", "4")])))
    assert (sounds.modality, list(sounds.classes), sound.open()) == ("audio", ["4"], file.getvalue())

    lines = [("text", "label"), (' "e\u0301te\u0301", ', "fr"), ("", "en"), ("x" * 5000, "en")]
    texts = open_source(str(write_csv(folder / "texts.csv", [*lines, ("one", "en"), ("one", "en")])))
    assert (texts.modality, list(texts.classes), texts.count) == ("text", ["en", "fr"], 5)
    assert next(iter(texts)).open() == '"\u00e9t\u00e9",'
    assert reasons(texts) == {
        "line 3": "a text must not be empty",
        "line 4": "a text must have at most 4096 bytes",
    }


def test_paths_with_texts_are_files_unless_texts_are_asked_for(folder: Path) -> None:
    path = str(write_csv(folder / "list.csv", [("path", "text"), ("0.png", "an ant")]))

    assert open_source(path).modality == "image"
    assert [item.open() for item in open_source(path, "text")] == ["an ant"]


def test_lines_that_cannot_be_used_are_set_aside(folder: Path, prepare_config: Settings) -> None:
    write_folder(folder.parent, [("secret.png", png(99)), ("elsewhere/1.png", png(98))])
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    (folder / "bad.png").write_bytes(b"no image")
    lines = [
        *((f"{number}.png", "ant" if number % 2 else "bee") for number in range(26)),
        ("26.png", ""),
        ("27.png", "x" * 256),
        ("28.png", "ant"),
        (".//28.png", "bee"),
        ("29.png",),
        ("gone.png", "ant"),
        ("bad.png", "ant"),
        ("", "ant"),
        (".", "ant"),
        ("\0.png", "ant"),
        ("x" * 5000 + ".png", "ant"),
        ("../secret.png", "ant"),
        ("a/../../secret.png", "ant"),
        (str(folder.parent / "secret.png"), "ant"),
        ("link.png", "ant"),
        ("linked/1.png", "ant"),
        ("a\x1b[2J.png", "ant"),
    ]
    path = write_csv(folder / "list.csv", [("path", "label"), *lines])
    config = prepare_config(source=str(path), max_rejected_fraction=0.5)

    manifest = prepare(open_source(config.source), config, folder.parent / "prepared")

    assert sum(manifest.counts.values()) == 26
    assert [entry.name for entry in manifest.classes] == ["ant", "bee"]
    outside = "its path must lead to a file below the folder of the CSV, without / before it or .."
    label = "its label must be a whole number or a text of 1 to 255 characters"
    assert sorted((entry.path[:30], entry.reason) for entry in manifest.rejected) == sorted(
        [
            ("26.png", label),
            ("27.png", label),
            ("28.png", "it is listed more than once"),
            ("28.png", "it is listed more than once"),
            ("line 32", "the line has 1 values, and the header 2"),
            ("gone.png", "not a regular file, or a link to nothing"),
            ("bad.png", "not a PNG, JPEG or WebP image"),
            ("line 35", outside),
            (".", outside),
            ("\\x00.png", outside),
            ("x" * 30, "File name too long"),
            ("../secret.png", outside),
            ("a/../../secret.png", outside),
            (str(folder.parent / "secret.png")[:30], outside),
            ("link.png", f"a symbolic link that leads out of the folder, to {folder.parent / 'secret.png'}"),
            ("linked/1.png", f"a symbolic link that leads out of the folder, to {folder.parent / 'elsewhere/1.png'}"),
            ("a\\x1b[2J.png", "not a regular file, or a link to nothing"),
        ]
    )


def test_a_class_without_a_usable_file_is_refused(folder: Path, prepare_config: Settings) -> None:
    lines = [*((f"{number}.png", "ant") for number in range(29)), ("gone.png", "bee")]
    config = prepare_config(
        source=str(write_csv(folder / "list.csv", [("path", "label"), *lines])), max_rejected_fraction=0.5
    )
    with pytest.raises(InvalidInput, match=r"Each class must have a usable image\. Received: .* none: bee"):
        prepare(open_source(config.source), config, folder.parent / "prepared")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"one column path or file_name .*, or text .*\. Received: .*list\.csv with the columns none"),
        (b"path;label\n0.png;ant\n", r"commas between its values.* with the columns path;label"),
        (b"path\tlabel\n0.png\tant\n", r"commas between its values.* with the columns path\\tlabel"),
        (b"image,label\n0.png,ant\n", "with the columns image, label"),
        (b"path,file_name\n0.png,0.png\n", "with the columns path, file_name"),
        (b"path,label,label\n0.png,1,2\n", "different names"),
        (b"path,label\n", "must contain images"),
        (b"text,label\n", "lines after its header"),
        (b"path\nnotes.md\n", "must contain images .* with 1 other files"),
        (b"path\n0.png\na.wav\n", r"one modality.*1 images, 1 clips"),
        (
            b"path\nwords.txt\n",
            r"^A CSV of texts must have one column text with a .*\. Received: .* with the columns path$",
        ),
        ("path,label\n0.png,\u00e9\n".encode("latin-1"), "must be a whole CSV in UTF-8: 'utf-8' codec can't decode"),
        ("path,label\n".encode("utf-16"), "must be a whole CSV in UTF-8"),
        (b'path\n"0.png" x\n', "must be a whole CSV in UTF-8: ',' expected after '\"'"),
        (b'path\n"0.png\n' + b"x\n" * 10**5, "must be a whole CSV in UTF-8: field larger than field limit"),
        (b'path\n"0.png\n', "must be a whole CSV in UTF-8: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused_in_one_sentence(content: bytes, message: str, folder: Path) -> None:
    (folder / "list.csv").write_bytes(content)

    with pytest.raises(InvalidInput, match=message) as caught:
        open_source(str(folder / "list.csv"))
    assert "\n" not in str(caught.value)


def test_a_csv_that_is_no_file_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a list \(\.csv\).*gone\.csv"):
        open_source(str(folder / "gone.csv"))
    write_folder(folder / "cats.csv", [("0.png", png(0))])
    assert open_source(str(folder / "cats.csv")).count == 1  # a folder of that name


@pytest.mark.parametrize(
    ("module", "limit", "value", "message"),
    [
        (csv_table, "LARGEST_BYTES", 30, "32 bytes, more than the limit of 30"),
        (csv_table, "MOST_LINES", 2, "more than 2 lines"),
        (listing, "MOST_CLASSES", 1, "at most 1 classes"),
    ],
)
def test_a_list_without_end_is_refused(
    module: ModuleType, limit: str, value: int, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(folder / "list.csv", [("path", "label"), ("0.png", "ant"), ("1.png", "b")])
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(InvalidInput, match=message):
        open_source(str(path))


def test_items_are_opened_in_other_processes(folder: Path) -> None:
    source = open_source(str(write_csv(folder / "list.csv", [("path",), *((f"{n}.png",) for n in range(6))])))

    assert all(len(pickle.dumps(item)) < 1000 for item in source)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(open_size, source)) == [(16, 16)] * 6

"""Tests of gan_core/data/parquet: data sets in parquet files."""

from __future__ import annotations

import contextlib
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from gan_core.data.parquet import row_groups
from gan_core.data.parquet import source as parquet
from gan_core.data.prepare import prepare
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import open_source
from tests.gan_core.data.archives import (
    CLASSES,
    damage,
    hugging_face,
    in_class_folders,
    png,
    write_csv,
    write_folder,
    write_parquet,
    write_tar,
    write_zip,
)
from tests.gan_core.data.test_archives import labelled, open_size, reasons

_ROOT = Path(__file__).resolve().parents[3]
Settings = Callable[..., Any]

IMAGE = {"_type": "Image"}
NAMES = ("cat", "ant", "bee")  # not in alphabetical order
LABEL = {"names": list(NAMES), "_type": "ClassLabel"}
PICTURES = hugging_face([png(number) for number in range(30)])
NUMBERS = [NAMES.index(CLASSES[number % 3]) for number in range(30)]


def test_a_folder_its_archives_lists_and_parquet_files_have_one_digest(
    tmp_path: Path, prepare_config: Settings
) -> None:
    files = in_class_folders(30)
    write_folder(tmp_path / "folder", files)
    write_folder(tmp_path / "nested" / "pets" / "train", files)
    write_folder(tmp_path / "flat", [(name.replace("/", "-"), content) for name, content in files])
    write_csv(tmp_path / "a.csv", [("path", "label"), *((f"folder/{name}", name[:3]) for name, _ in files)])
    listed = [(str(number), name[:3], name.replace("/", "-")) for number, (name, _) in enumerate(reversed(files))]
    write_csv(tmp_path / "flat" / "b.csv", [("", "label", "file_name"), *listed])
    write_tar(tmp_path / "a.tar", files)
    write_zip(tmp_path / "a.zip", files)
    write_parquet(tmp_path / "a.parquet", {"image": PICTURES, "label": NUMBERS}, {"image": IMAGE, "label": LABEL})
    contents = [picture["bytes"] for picture in reversed(PICTURES)]
    named = pa.array([CLASSES[number % 3] for number in reversed(range(30))]).dictionary_encode()
    write_parquet(tmp_path / "b.parquet", {"image": contents, "label": named, "width": [16] * 30})
    (tmp_path / "many").mkdir()
    for number in range(3):
        part = {"img": PICTURES[number::3], "fine": NUMBERS[number::3]}
        write_parquet(tmp_path / "many" / f"{number}.parquet", part, {"img": IMAGE, "fine": LABEL})

    digests = set()
    forms = ("folder", "nested", "a.csv", "flat/b.csv", "a.tar", "a.zip", "a.parquet", "b.parquet", "many", "many/*")
    for number, name in enumerate(forms):
        config = prepare_config(source=str(tmp_path / name))
        manifest = prepare(open_source(config.source), config, tmp_path / f"prepared-{number}")
        assert [entry.name for entry in manifest.classes] == list(CLASSES)
        digests.add(manifest.digest)
    assert len(digests) == 1


def test_classes_without_rows_are_no_classes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"image": PICTURES[:2], "label": [2, 0]}, {"image": IMAGE, "label": LABEL})

    source = open_source(str(tmp_path / "a.parquet"))

    assert labelled(source) == {"row 0": "bee", "row 1": "cat"}


def test_sounds_and_texts_come_in_parquet_files_too(tmp_path: Path, prepare_config: Settings) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100), 8000, format="WAV")
    sounds = open_source(str(write_parquet(tmp_path / "a.parquet", {"audio": hugging_face([file.getvalue()])})))
    assert (sounds.modality, [item.open() for item in sounds]) == ("audio", [file.getvalue()])

    words = {"text": ["  e\u0301t\u00e9 ", "a\nb", "", None, "x" * 5000], "label": ["fr", "en", "en", "en", "en"]}
    texts = open_source(str(write_parquet(tmp_path / "b.parquet", words)))
    assert (texts.modality, list(texts.classes), texts.count) == ("text", ["en", "fr"], 5)
    assert next(iter(texts)).open() == "\u00e9t\u00e9"
    assert reasons(texts) == {
        "row 1": "a text must contain only printable characters, spaces, U+200C and U+200D, and no U+000A (LINE FEED)",
        "row 2": "a text must not be empty",
        "row 3": "it has no content in the file",
        "row 4": "a text must have at most 4096 bytes",
    }


def test_texts_may_be_categories(tmp_path: Path) -> None:
    words = pa.array(["ant", "bee", None, "ant", "cat"]).dictionary_encode()
    path = write_parquet(tmp_path / "a.parquet", {"text": words, "label": words}, rows=2)
    source = open_source(str(path))
    items = list(source)
    assert [items[row].open() for row in (0, 1, 3, 4)] == ["ant", "bee", "ant", "cat"]
    assert reasons(source) == {"row 2": "it has no label"}


def test_images_with_captions_are_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"image": PICTURES[:3], "text": ["a", "b", "c"]})

    assert open_source(str(tmp_path / "a.parquet")).modality == "image"
    assert open_source(str(tmp_path / "a.parquet"), "text").modality == "text"


@pytest.mark.parametrize("processes", [True, False])
def test_rows_are_opened_in_other_processes_and_threads(processes: bool, tmp_path: Path) -> None:
    source = open_source(str(write_parquet(tmp_path / "a.parquet", {"image": PICTURES})))

    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn")) if processes else ThreadPoolExecutor(4)
    with pool:
        assert list(pool.map(open_size, reversed(list(source)))) == [(16, 16)] * 30


def test_a_raw_item_holds_no_content(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(10**6)

    (item,) = open_source(str(write_parquet(tmp_path / "a.parquet", {"image": [noise]})))

    assert len(pickle.dumps(item)) < 1000


def test_a_row_group_is_read_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [bytes([number]) * 2**16 for number in range(12)]
    source = open_source(str(write_parquet(tmp_path / "a.parquet", {"image": contents}, rows=2, compression=None)))
    read: list[int] = []
    original = row_groups._read
    monkeypatch.setattr(
        row_groups, "_read", lambda path, group, column: (read.append(group), original(path, group, column))[1]
    )
    monkeypatch.setattr(row_groups, "LARGEST_BYTES", 5 * 2**17)
    kept = row_groups.RowGroups()
    monkeypatch.setattr(parquet, "_row_groups", kept)

    reasons(source)

    assert read == [0, 1, 2, 3, 4, 5]
    assert sum(size for _, size in kept._kept.values()) <= 5 * 2**17


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": ["one"]})
    (item,) = open_source(str(path))
    assert item.open() == "one"
    write_parquet(path, {"text": ["three"]})
    assert item.open() == "three"
    path.unlink()
    assert reasons([item]) == {"row 0": "the file cannot be read: No such file or directory"}


def test_rows_without_a_content_or_a_label_are_set_aside(tmp_path: Path, prepare_config: Settings) -> None:
    pictures = [*PICTURES, {"bytes": None, "path": "/etc/passwd"}, None, *hugging_face([b"no image"]), *PICTURES[:3]]
    labels = [*NUMBERS, 0, 0, 0, None, -1, 3]
    write_parquet(tmp_path / "a.parquet", {"image": pictures, "label": labels}, {"image": IMAGE, "label": LABEL})
    config = prepare_config(source=str(tmp_path / "a.parquet"), max_rejected_fraction=0.2)

    manifest = prepare(open_source(config.source), config, tmp_path / "prepared")

    assert {entry.path: entry.reason for entry in manifest.rejected} == {
        "row 30": "it has no content in the file",
        "row 31": "it has no content in the file",
        "row 32": "not a PNG, JPEG or WebP image",
        "row 33": "it has no label",
        "row 34": "no class has the label -1",
        "row 35": "no class has the label 3",
    }


def test_a_damaged_row_group_is_set_aside(tmp_path: Path, prepare_config: Settings) -> None:
    path = write_parquet(
        tmp_path / "a.parquet",
        {"image": PICTURES, "label": NUMBERS},
        rows=10,
        write_page_checksum=True,
        compression=None,
    )
    content = bytearray(path.read_bytes())
    place = content.index(PICTURES[15]["bytes"][20:60])
    content[place] ^= 1
    path.write_bytes(content)
    config = prepare_config(source=str(path), max_rejected_fraction=0.4)

    manifest = prepare(open_source(config.source), config, tmp_path / "prepared")

    assert sorted(entry.path for entry in manifest.rejected) == [f"row {number}" for number in range(10, 20)]
    assert all("row group cannot be read" in entry.reason for entry in manifest.rejected)


def test_a_large_row_group_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(str(write_parquet(tmp_path / "a.parquet", {"image": PICTURES}, rows=30)))
    monkeypatch.setattr(row_groups, "LARGEST_BYTES", 1000)
    assert set(reasons(source).values()) == {"its row group has more than 1000 bytes; write fewer rows in each"}


def test_a_dictionary_that_repeats_a_large_value_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"audio": [bytes(2**22)] * 100}, rows=100, compression="zstd")
    assert path.stat().st_size < 2**14
    program = """
import sys, pyarrow
from gan_core.data.parquet import row_groups
from gan_core.errors import UnreadableItem
from gan_core.modalities.choice import open_source
row_groups.LARGEST_BYTES = 2**24
try:
    next(iter(open_source(sys.argv[1]))).open()
except UnreadableItem as error:
    print(error, pyarrow.default_memory_pool().max_memory() < 2**26)
"""
    done = subprocess.run([sys.executable, "-c", program, path], cwd=_ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "its row group has more than 16777216 bytes; write fewer rows in each True\n"


def test_a_large_row_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(str(write_parquet(tmp_path / "a.parquet", {"image": [bytes(2000), png(1)]})))
    monkeypatch.setattr(parquet, "LARGEST_FILE_BYTES", 1000)
    assert reasons(source) == {"row 0": "more than 1000 bytes"}


def test_more_rows_than_bytes_are_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": pa.nulls(10**6, pa.binary())}, rows=10**6)
    with pytest.raises(InvalidInput, match=r"more rows than bytes\. Received: .*a\.parquet with 1000000 rows"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("columns", "features", "label", "message"),
    [
        ({"fine": NUMBERS, "coarse": NUMBERS}, {"fine": LABEL, "coarse": LABEL}, "auto", "fine, coarse"),
        ({"fine": NUMBERS}, None, "auto", "the columns fine"),
        ({"fine": NUMBERS, "name": ["x"] * 30}, None, "size", "the columns fine, name"),
        ({"size": [0.5] * 30}, None, "size", "the columns none"),
        ({"label": [True, False] * 15}, None, "auto", "the columns none"),
        ({"label": [0.5] * 30, "name": ["x"] * 30}, None, "auto", "the columns name"),
    ],
)
def test_a_label_that_is_not_clear_is_refused_with_the_candidates(
    columns: dict[str, Any], features: dict[str, Any] | None, label: str, message: str, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "a.parquet", {"image": PICTURES, **columns}, features and {"image": IMAGE, **features})
    with pytest.raises(
        InvalidInput,
        match=rf"'prepare\.label' must name .*whole numbers or texts, or be none.*label='{label}'.*{message}",
    ):
        open_source(str(tmp_path / "a.parquet"), label=label)


def test_the_label_is_named_or_none(tmp_path: Path) -> None:
    columns = {"image": PICTURES, "fine": NUMBERS, "name": [str(number // 15) for number in range(30)]}
    write_parquet(tmp_path / "a.parquet", columns, {"image": IMAGE, "fine": LABEL})

    assert [
        list(open_source(str(tmp_path / "a.parquet"), label=label).classes)
        for label in ("auto", "fine", "name", "none")
    ] == [list(CLASSES), list(CLASSES), ["0", "1"], []]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"img": [b"x"]}, "one column of items: with the name image or audio or text.*the columns img"),
        ({"image": [1]}, "one column of items"),
        ({"image": [b"x"], "audio": [b"x"]}, r"one column of items.*image, audio"),
        ({"image": pa.array([], pa.binary())}, "must have rows"),
    ],
)
def test_columns_without_clear_items_are_refused(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        open_source(str(write_parquet(tmp_path / "a.parquet", columns)))


def test_files_with_other_classes_or_kinds_are_refused(tmp_path: Path) -> None:
    columns = {"image": PICTURES, "label": NUMBERS}
    write_parquet(tmp_path / "a.parquet", columns, {"image": IMAGE, "label": LABEL})
    write_parquet(tmp_path / "b.parquet", columns, {"image": IMAGE, "label": LABEL | {"names": ["x", "y", "z"]}})
    with pytest.raises(InvalidInput, match=r"same items, labels and classes.*a\.parquet and .*b\.parquet"):
        open_source(str(tmp_path))
    (tmp_path / "b.parquet").rename(tmp_path / "b.tar")
    with pytest.raises(InvalidInput, match="must not have parquet files and other archives"):
        open_source(str(tmp_path))


def test_metadata_of_another_form_is_ignored(tmp_path: Path) -> None:
    for features in ([], {"image": 3}, {"image": {"_type": 1}, "label": {"_type": "Value", "names": 5}}):
        write_parquet(tmp_path / "a.parquet", {"image": PICTURES, "label": NUMBERS}, features)  # type: ignore[arg-type]
        assert list(open_source(str(tmp_path / "a.parquet")).classes) == ["0", "1", "2"]


def test_a_truncated_or_damaged_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "a.parquet", {"image": PICTURES, "label": NUMBERS}).read_bytes()
    damaged = bytearray(whole)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    damaged[footer : footer + 32] = bytes(32)
    for content in (b"", b"PAR1", b"no parquet" * 100, whole[:-1], whole[: len(whole) // 2], bytes(damaged)):
        (tmp_path / "a.parquet").write_bytes(content)
        with pytest.raises(InvalidInput, match=r"must be a whole parquet file: .*Received: .*a\.parquet$") as caught:
            open_source(str(tmp_path / "a.parquet"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_raises_anything_else(seed: int, tmp_path: Path) -> None:
    """Flips bytes anywhere: the file is refused, or rows are set aside."""
    path = write_parquet(tmp_path / "a.parquet", {"audio": PICTURES[:3], "label": NUMBERS[:3]}, rows=2)
    damage(path, seed, 600 if seed % 2 else None)  # the footer, or anywhere
    with contextlib.suppress(InvalidInput):
        reasons(open_source(str(path)))

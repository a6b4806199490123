"""Tests that a prepared data set is read only if it matches its manifest; all errors are one-line messages."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import blobs, write_dataset

from gan_core.data import prepared
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", blobs(12), blobs(6, seed=1), classes=2, pairs="inpainting")


def open_all(folder: Path) -> None:
    dataset = PreparedDataset(folder)
    for split in ("train", "held_out"):
        dataset.split(split)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize("name", ["train-00000.npy", "held_out-00000-labels.npy", "train-00000-inputs.npy"])
@pytest.mark.parametrize("opened_before", [False, True], ids=["before it was opened", "after it was opened"])
def test_one_flipped_bit_is_detected(folder: Path, name: str, opened_before: bool) -> None:
    if opened_before:
        open_all(folder)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(
        InvalidInput, match=rf"^A shard must have the SHA-256 in its manifest: .* Received: .*{name} with"
    ):
        open_all(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        npz(),
        b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"(" * 8999 + b"\n",
        b"\x93NUMPY\1\0\xff\xff{",
        b"\x93NUMPY\x09\0\x10\0" + b" " * 16,
        npy(np.zeros((12, 16, 16, 1), np.float32)),
        npy(np.zeros((11, 16, 16, 1), np.uint8)),
        npy(np.array(3, np.uint8)),
        npy(blobs(12))[:-1],
        b"\x80\x04}.",
    ],
)
def test_an_invalid_array_in_a_shard_gives_a_one_line_error(folder: Path, content: bytes) -> None:
    (folder / "train-00000.npy").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"^(A|The) shard must [^\n]* Received: [^\n]*$"):
        open_all(folder)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path), lambda path: None])
def test_a_shard_that_is_not_a_file_gives_a_one_line_error(folder: Path, make: Callable[[Path], None]) -> None:
    (folder / "train-00000-labels.npy").unlink()
    make(folder / "train-00000-labels.npy")
    with pytest.raises(InvalidInput, match=r"^A shard must be a readable \.npy file: [^\n]*$"):
        open_all(folder)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_manifest_that_is_not_a_file_gives_a_one_line_error(folder: Path, make: Callable[[Path], None]) -> None:
    (folder / "manifest.json").unlink()
    make(folder / "manifest.json")
    with pytest.raises(InvalidInput, match=r"^A prepared data set must be a folder with[^\n]* Received: "):
        PreparedDataset(folder)


def change(folder: Path, edit: Callable[[Any], object]) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    edit(document)
    (folder / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document["counts"].update(train=11),
        lambda document: document["shards"].pop(),
        lambda document: document["shards"].append(document["shards"][0]),
        lambda document: document["shards"][0].update(labels=None),
        lambda document: document["shards"][0].update(labels_sha256=None),
        lambda document: document["shards"][0].update(inputs=None, inputs_sha256=None),
        lambda document: document["shards"][0].update(images_sha256="sha256-0"),
        lambda document: document["shards"][0].update(images="../train-00000.npy"),
        lambda document: document["shards"][0].update(count=-1),
        lambda document: document["classes"][0].update(train=5),
        lambda document: document["classes"][0].update(train=-6),
        lambda document: document["classes"].clear(),
        lambda document: document.update(shape=[16, 16, -1]),
        lambda document: document.update(shape=[16, 16, 10**30]),
        lambda document: document.update(mean=[1.0, 2.0]),
        lambda document: document.update(mean=[float("nan")]),
        lambda document: document.update(digest="sha256-x"),
    ],
)
def test_an_edited_manifest_gives_a_one_line_error(folder: Path, edit: Callable[[Any], object]) -> None:
    change(folder, edit)
    with pytest.raises(InvalidInput, match=r"^The manifest is not valid: [^\n]*Received: [^\n]*manifest\.json$"):
        open_all(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(digest=f"sha256-{'0' * 64}"),
        lambda document: document["shards"][0].update(images_sha256="0" * 64),
        lambda document: document["classes"][0].update(name="cats"),
        lambda document: document["settings"].update(source="other"),
        lambda document: document.update(mean=[1.0]),
        lambda document: document.update(seal="0" * 64),
    ],
)
def test_an_edited_sealed_manifest_is_refused(folder: Path, edit: Callable[[Any], object]) -> None:
    manifest = PreparedDataset(folder).manifest.sealed()
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    assert PreparedDataset(folder).manifest == manifest
    change(folder, edit)
    with pytest.raises(
        InvalidInput, match=r"^The manifest is not valid: [^\n]*changed after prepare wrote it[^\n]*manifest\.json$"
    ):
        open_all(folder)


def test_labels_must_match_the_class_counts(folder: Path) -> None:
    def swap(document: Any) -> None:
        document["classes"][0].update(train=7)
        document["classes"][1].update(train=5)

    change(folder, swap)
    with pytest.raises(InvalidInput, match="must have the class counts in its manifest"):
        open_all(folder)


def test_a_shard_is_hashed_once_per_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared._sha256.cache_clear()
    for _ in range(3):
        open_all(folder)
    assert (prepared._sha256.cache_info().misses, prepared._sha256.cache_info().hits) == (6, 12)


def test_classes_without_images_in_a_split_are_named(tmp_path: Path) -> None:
    # Image i has label i % 8: six classes have no training image, seven have no held-out image.
    write_dataset(tmp_path / "data", blobs(2), blobs(1), classes=8)
    assert PreparedDataset(tmp_path / "data").manifest.warnings() == [
        "6 of 8 classes have no training image, so no network learns them: 2, 3, 4, 5, 6, …. Add images, lower "
        "prepare.held_out_fraction or change prepare.seed.",
        "7 of 8 classes have no held-out image, so no score measures them: 1, 2, 3, 4, 5, …. Add images, raise "
        "prepare.held_out_fraction or change prepare.seed.",
    ]
    write_dataset(tmp_path / "whole", blobs(2), blobs(2), classes=2)
    assert PreparedDataset(tmp_path / "whole").manifest.warnings() == []

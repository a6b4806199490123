"""Writes archives for the tests, sound and hostile ones."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("ant", "bee", "cat")


def png(seed: int) -> bytes:
    """Returns the file of a grey image of 16 × 16 pixels of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, files: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def write_csv(path: Path, lines: Iterable[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def in_class_folders(count: int = 30) -> list[tuple[str, bytes]]:
    return [(f"{CLASSES[number % 3]}/{number}.png", png(number)) for number in range(count)]


def write_parquet(
    path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, rows: int = 7, **options: Any
) -> Path:
    """Writes columns with Hugging Face's metadata of `features`, if given, in row groups of `rows` rows."""
    table = pa.table(columns)
    if features is not None:
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=rows, **options)
    return path


def hugging_face(contents: Sequence[bytes | None]) -> list[dict[str, Any]]:
    """Returns a column of images or sounds as Hugging Face writes it."""
    return [{"bytes": content, "path": f"{number}.png"} for number, content in enumerate(contents)]


def damage(path: Path, seed: int, last: int | None) -> None:
    """Writes three random bytes at random places of a file, among the last bytes or, if `last` is None, anywhere."""
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    generator = np.random.default_rng(seed)
    start = 0 if last is None else len(content) - last
    for place in generator.integers(start, len(content), 3):
        content[place] = generator.integers(256)
    path.write_bytes(content.tobytes())

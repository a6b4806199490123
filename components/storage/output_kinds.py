"""The kinds of output, and how a stage recognises its own earlier output.

A stage replaces only its own earlier output. A file is recognised by its content. A folder is recognised by one file in
it, its mark, and only the files that the stage wrote are replaced.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gan_core.metric_names import EXAMPLES_PER_SECOND
from gan_core.output_files import (
    COURSE_FILE,
    EXPORT_FILE,
    ITEMS_FILE,
    LATENT_FILE,
    MANIFEST_FILE,
    MANIFEST_KEYS,
    METADATA_FILE,
    METADATA_KEYS,
    MODEL_FILE,
    STATE_FILE,
    XMP_NAMESPACE,
)

SAMPLES_PAGE_TITLE = "<title>Samples of a generator</title>"
MOST_BYTES = 2**28
"""A larger file is neither a stage's output nor the mark of a folder."""


@dataclass(frozen=True)
class Kind:
    """One kind of output.

    Attributes:
        what: name of the kind, for messages and for the marker of an incomplete folder in a bucket; empty if such a
            file cannot be recognised, and so is never replaced.
        recognises: whether bytes are the content of such a file, or of the mark of such a folder.
        mark: name of the file that marks a folder of this kind; empty for an output that is a file.
        members: computes the paths of the stage's other files, relative to the folder, from the mark's content.
        recorded: paths of the earlier output's files in a folder without a mark, from another record.
    """

    what: str
    recognises: Callable[[bytes], bool]
    mark: str = ""
    members: Callable[[bytes], set[str]] = lambda _: set()
    recorded: frozenset[str] = frozenset()

    @property
    def rule(self) -> str:
        """A sentence that says what may be replaced."""
        empty = "an empty folder" if self.mark else "an empty file"
        places = f"absent, {empty} or {self.what} of this project" if self.what else f"absent or {empty}"
        return f"An output's place must be {places}; nothing else is replaced."

    def is_own(self, content: bytes) -> bool:
        """Whether the content of a file, or of a folder's mark, shows that the output may be replaced."""
        return self.recognises(content) or (not self.mark and not content)

    def owned(self, mark: bytes | None) -> set[str]:
        """Returns the paths in a folder that the stage wrote, according to its mark; none is outside the folder."""
        paths = self.recorded if mark is None else {self.mark, *self.members(mark)}
        return {
            path for path in paths if not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
        }


def _object(content: bytes) -> dict[str, Any]:
    """Returns the JSON object in `content`, or an empty one."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _json_with(*keys: str) -> Callable[[bytes], bool]:
    return lambda content: _object(content).keys() >= set(keys)


def _shards(content: bytes) -> set[str]:
    entries = _object(content).get("shards")
    shards = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    names = {entry.get(key) for entry in shards for key in ("images", "labels", "inputs")}
    return {"preview.png", *(name for name in names if isinstance(name, str))}


def _first_line_names(column: str) -> Callable[[bytes], bool]:
    return lambda content: column.encode() in content.partition(b"\n")[0].strip().split(b",")


def _is_grid(content: bytes) -> bool:
    """Whether it is a PNG that `write_png` signed, or an earlier version's unsigned grid, which has a white border."""
    from PIL import Image

    from gan_core.codecs.grid import SIGNATURE

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.info.get("Software") == SIGNATURE:
                return True
            pixels = image.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    width, height = pixels.size
    edges = ((0, 0, width, 2), (0, 0, 2, height), (0, height - 2, width, height), (width - 2, 0, width, height))
    return image.mode in ("L", "RGB") and all(pixels.crop(edge).getextrema() == (255, 255) for edge in edges)


def _is_statistics(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {"mu.npy", "sigma.npy", "extractor.npy"} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _is_records(content: bytes) -> bool:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return {"training.json", "history.jsonl"} <= set(archive.getnames())
    except (tarfile.TarError, ValueError):
        return False


def _is_walk(content: bytes) -> bool:
    return content[:4] + content[8:12] == b"RIFFWEBP" and XMP_NAMESPACE.encode() in content


def _is_zip_of_items(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return ITEMS_FILE in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _items(content: bytes) -> set[str]:
    names = _object(content).get("files")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


FETCHED = Kind("fetched files", lambda _: False, mark=".")
PREPARED = Kind("a prepared data set", _json_with(*MANIFEST_KEYS), MANIFEST_FILE, _shards)
GENERATOR = Kind(
    "a generator",
    _json_with(*METADATA_KEYS),
    METADATA_FILE,
    lambda _: {MODEL_FILE, STATE_FILE, COURSE_FILE},
)
FINGERPRINT = Kind("a digest of raw data", _json_with("format", "raw_data"))
VERSION = Kind("a version of raw data", lambda content: content.startswith((b'{"md5"', b"gs://")))
CHAMPION = Kind("the address of a champion", lambda content: content.startswith(b"models:/"))
HISTORY = Kind("a training's history", _first_line_names("images_seen"))
SAMPLES = Kind("a grid of samples", _is_grid)
SAMPLES_PAGE = Kind("a page of samples", lambda content: SAMPLES_PAGE_TITLE.encode() in content)
ITEMS = Kind("generated items", _json_with("digital_source_type", "files"), ITEMS_FILE, _items)
ITEMS_ZIP = Kind("a zip of generated items", _is_zip_of_items)
WALK = Kind("a walk of a generator", _is_walk)
TEXTS = Kind("", lambda _: False)
PROJECTION = Kind(
    "a projection",
    _json_with("latent", "pixel_differences"),
    LATENT_FILE,
    lambda _: {"projection.png", "found.png", "found.wav"},
)
EXPORT = Kind("an exported generator", _json_with("inputs", "outputs", "files"), EXPORT_FILE, _items)
RECORDS = Kind("a training's records", _is_records)
SCORES = Kind("an evaluation's record", _json_with("scores", "protocol"))
FIGURES = Kind("the figures that experiments are compared by", _json_with("images_seen", EXAMPLES_PER_SECOND))
REPORT = Kind("a report", lambda content: b"Generator report</title>" in content)
STATISTICS = Kind("statistics of this project", _is_statistics)
REGISTRATION = Kind("a registration's record", _json_with("decision", "version"))
DRIFT = Kind("a drift record", _json_with("drifted", "rule"))
COMPARISON = Kind("a comparison of trainings", lambda content: b"Comparison of trainings</title>" in content)

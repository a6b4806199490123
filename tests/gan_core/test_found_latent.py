"""The record of a projection: what is written can be read, and everything else is refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gan_core.errors import InvalidInput
from gan_core.found_latent import FoundLatent, read_latent

RECORD = FoundLatent(
    digital_source_type="trained",
    model="cats-16x16x1",
    digest="sha256-1",
    seed="projection from 0",
    truncation=1.0,
    label="cat",
    steps=(0, 5),
    pixel_differences=(0.5, 0.25),
    feature_differences=(0.5, 0.125),
    class_differences={"cat": 0.375},
    latent=(0.1, -2.0, 3.0),
)


def written(folder: Path, **changes: Any) -> Path:
    (folder / "latent.json").write_text(RECORD.model_copy(update=changes).model_dump_json())
    return folder / "latent.json"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_latent(written(tmp_path), "sha256-1", 3) == RECORD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": "sha256-2"}, "found with the same generator, here sha256-1. Received: .*, found with sha256-2"),
        ({"latent": (0.1,)}, "A latent must have 3 numbers. Received: .* with 1"),
        ({"latent": (0.1, 1e7, 0.0)}, r"latent\.1: Input should be less than or equal to 1000000"),
        ({"latent": (0.1, float("nan"), 0.0)}, r"latent\.1: Input should be"),
        ({"steps": None}, "the latent.json of components.project: steps: Input should be a valid"),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_another_record_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_latent(written(tmp_path, **changes), "sha256-1", 3)


def test_a_pipe_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name, reason in (("pipe.json", "Not a regular file"), ("absent.json", "No such file")):
        with pytest.raises(InvalidInput, match=f"A found latent must be a readable file: {reason}"):
            read_latent(tmp_path / name, "sha256-1", 3)

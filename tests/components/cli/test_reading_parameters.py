"""Sections of the parameters are read from a file or from JSON, and the error for a wrong section names each key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.cli.parameters import read_section
from gan_core.config import DriftConfig, RegisterConfig
from gan_core.errors import InvalidInput

VALUES = {"model_name": "generator", "score": "fid", "minimum_improvement": 0.1, "spread_multiplier": 2}
VALUES |= {"data_licence": "auto", "intended_use": "Tests."}


def test_a_section_is_the_same_from_a_file_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("register: " + json.dumps(VALUES) + "\ntrain: {}\n")

    from_file = read_section(str(tmp_path / "params.yaml"), RegisterConfig)

    assert from_file == read_section(json.dumps(VALUES), RegisterConfig) == RegisterConfig(**VALUES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be a readable YAML file"),
        ("train: {}", "must have a section 'register'"),
        ("register: 5", "must have a section 'register'"),
        ("- register", "must have a section 'register'"),
        (b"\xff\xfe\x00", "must be a readable YAML file"),
        ("register: " + "[" * 3000, "must be a readable YAML file"),
        ("register: {score: fid, score: kid_random}", "must be a readable YAML file: .*duplicate key"),
    ],
)
def test_a_file_without_the_section_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInput, match=message) as caught:
        read_section(str(path), RegisterConfig)
    assert str(caught.value).endswith(f"Received: {path}")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("register: " + json.dumps({**VALUES, "model_name": "off"}).replace('"off"', "off") + "\n")
    assert read_section(str(path), RegisterConfig).model_name == "off"
    path.write_text("drift: {confidence: 0.95, blocks: 010, kid_threshold: 1e-3, class_share_threshold: 0.05}\n")
    drift = read_section(str(path), DriftConfig)
    assert (drift.blocks, drift.kid_threshold) == (10, 0.001)


@pytest.mark.parametrize(
    "text", ['{"score": ', '{"score": ' + "[" * 10**5, '{"score": ' + "1" * 5000 + "}", '{"a": "\\ud800"}']
)
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_section(text, RegisterConfig)


def test_every_wrong_key_is_named_with_its_section_and_value() -> None:
    wrong = {**VALUES, "spread_multiplier": -1, "colour": "blue"}
    del wrong["score"]
    with pytest.raises(InvalidInput) as caught:
        read_section(json.dumps(wrong), RegisterConfig)
    assert sorted(str(caught.value).splitlines()) == [
        "The parameter 'register.score' is missing. Received: nothing",
        "The parameter 'register.spread_multiplier' must be greater than or equal to 0. Received: spread_multiplier=-1",
        "There is no parameter 'register.colour'. Received: colour='blue'",
    ]

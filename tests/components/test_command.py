"""What every command shares: parameters, whole outputs, exit codes, native noise."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from components.command import _held_back_stderr, cache_folder, read_section, run
from gan_core.config import DriftConfig, RegisterConfig
from gan_core.errors import InvalidInput, TryAgain

VALUES = {"model_name": "generator", "score": "fid", "minimum_improvement": 0.1, "spread_multiplier": 2}


def test_a_section_is_the_same_from_a_file_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("register: " + json.dumps(VALUES) + "\ntrain: {}\n")

    from_file = read_section(str(tmp_path / "params.yaml"), "register", RegisterConfig)

    assert from_file == read_section(json.dumps(VALUES), "register", RegisterConfig) == RegisterConfig(**VALUES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be a readable YAML file"),
        ("train: {}", "must have a section 'register'"),
        ("register: 5", "must have a section 'register'"),
        ("- register", "must have a section 'register'"),
        (b"\xff\xfe\x00", "must be a readable YAML file"),
        ("register: {score: fid, score: kid_random}", "must be a readable YAML file: .*duplicate key"),
    ],
)
def test_a_file_that_holds_no_section_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInput, match=message) as caught:
        read_section(str(path), "register", RegisterConfig)
    assert str(caught.value).endswith(f"Received: {path}")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("register: " + json.dumps({**VALUES, "model_name": "off"}).replace('"off"', "off") + "\n")
    assert read_section(str(path), "register", RegisterConfig).model_name == "off"
    path.write_text("drift: {confidence: 0.95, blocks: 010, kid_threshold: 1e-3, class_share_threshold: 0.05}\n")
    drift = read_section(str(path), "drift", DriftConfig)
    assert (drift.blocks, drift.kid_threshold) == (10, 0.001)


def test_no_secret_of_an_address_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise InvalidInput("Received: https://me:hunter2@host/w.pth?token=hunter2")

    with pytest.raises(SystemExit):
        run(fails)
    assert capsys.readouterr().err == "error: Received: https://host/w.pth?…\n"


@pytest.mark.parametrize(
    "text", ['{"score": ', '{"score": ' + "[" * 10**5, '{"score": ' + "1" * 5000 + "}", '{"a": "\\ud800"}']
)
def test_json_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_section(text, "register", RegisterConfig)


def test_every_wrong_key_is_named_with_its_section_and_value() -> None:
    wrong = {**VALUES, "spread_multiplier": -1, "colour": "blue"}
    del wrong["score"]
    with pytest.raises(InvalidInput) as caught:
        read_section(json.dumps(wrong), "register", RegisterConfig)
    assert sorted(str(caught.value).splitlines()) == [
        "The parameter 'register.score' is missing. Received: nothing",
        "The parameter 'register.spread_multiplier' must be greater than or equal to 0. Received: spread_multiplier=-1",
        "There is no parameter 'register.colour'. Received: colour='blue'",
    ]


def test_the_cache_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "gan-pipeline"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "gan-pipeline"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidInput("Wrong. Received: x"), 2, "error: Wrong. Received: x\n"),
        (TryAgain("Away."), 75, "error: Away.\n"),
        (KeyboardInterrupt(), 130, "error: Interrupted.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 75, "error: The disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "reports"), 75, "error: The disk is full"),
        (OSError(errno.EIO, "Input/output error", "data"), 75, "error: The disk or the system does not do its work"),
        (OSError(errno.EROFS, "Read-only file system", "data"), 75, "error: The disk or the system does not"),
        (PermissionError(errno.EACCES, "Permission denied", "data"), 2, "error: A file must be there and accessible"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), 2, "error: A file must be there and accessible"),
    ],
)
def test_exit_codes(error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(message)


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    def main() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        run(main)


def test_native_noise_is_shown_only_when_the_body_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with _held_back_stderr():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""

    with pytest.raises(ImportError), _held_back_stderr():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"

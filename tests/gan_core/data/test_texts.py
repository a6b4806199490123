"""Tests of reading texts, also hostile ones, and of the built-in names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gan_core.data import texts
from gan_core.data.texts import NAMES_CLASSES, names, read_texts
from gan_core.errors import InvalidInput


def _written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    return path


def test_each_line_that_is_not_empty_is_a_text(tmp_path: Path) -> None:
    content = "\ufeffAnna\r\nÉva \n\n  \nO'Neil Smith\n名前".encode()
    assert read_texts(_written(tmp_path, content)) == ["Anna", "Éva", "O'Neil Smith", "名前"]
    assert read_texts(_written(tmp_path, b"")) == []


def test_two_ways_to_write_a_letter_give_one_text(tmp_path: Path) -> None:
    one, two = read_texts(_written(tmp_path, "E\u0301va\nÉva\n".encode()))
    assert one == two


@pytest.mark.parametrize("word", ["می\u200cخواهم", "क्\u200dष", "❤\ufe0f", "葛\U000e0100"])
def test_joiners_and_variation_selectors_belong_to_the_spelling(tmp_path: Path, word: str) -> None:
    assert read_texts(_written(tmp_path, word.encode())) == [word]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("\u200f", r"U\+200F \(RIGHT-TO-LEFT MARK\)"),
        ("\u00a0", r"U\+00A0 \(NO-BREAK SPACE\)"),
        ("\u3000", r"U\+3000 \(IDEOGRAPHIC SPACE\)"),
        ("\u3164", r"U\+3164 \(HANGUL FILLER\)"),
        ("\u034f", r"U\+034F \(COMBINING GRAPHEME JOINER\)"),
        ("\u2800", r"U\+2800 \(BRAILLE PATTERN BLANK\)"),
        ("\t", r"U\+0009 \(TAB\)"),
        ("\r", r"U\+000D \(CARRIAGE RETURN\)"),
        ("\x1b", r"U\+001B \(a character without a name\)"),
    ],
)
def test_an_invisible_character_is_refused_by_its_name(tmp_path: Path, symbol: str, name: str) -> None:
    path = _written(tmp_path, f"good\nab{symbol}c\n".encode())
    with pytest.raises(InvalidInput, match=rf"U\+200C and U\+200D, and no {name}\. Received: line 2 of {path}$"):
        read_texts(path)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"Ren\xe9", "be UTF-8"),
        (b"\xed\xa0\x80", "be UTF-8"),
        (b"a\x00b", "contain only printable"),
        (b"a\tb", "contain only printable"),
        (b"\x1b[2Jx", "contain only printable"),
        ("a\u202eb".encode(), "contain only printable"),
        (b"a\rb", "contain only printable"),
        (b"x" * 4097, "have at most 4096 bytes"),
    ],
)
def test_a_line_that_is_no_text_is_refused_by_its_number(tmp_path: Path, line: bytes, rule: str) -> None:
    path = _written(tmp_path, b"good\n\n" + line + b"\nalso good\n")
    with pytest.raises(InvalidInput, match=rf"must {rule}.* Received: line 3 of {path}$"):
        read_texts(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for name, reason in (("pipe.txt", "Not a regular file"), ("none.txt", "No such file"), (".", "directory")):
        with pytest.raises(InvalidInput, match=f"must be readable: .*{reason}.* Received: "):
            read_texts(tmp_path / name)
    monkeypatch.setattr(texts, "LARGEST_FILE_BYTES", 3)
    with pytest.raises(InvalidInput, match=r"4 bytes, more than the limit of 3\. Received: "):
        read_texts(_written(tmp_path, b"four"))


def test_the_built_in_names_are_those_of_the_package() -> None:
    found = dict(zip(NAMES_CLASSES, names(), strict=True))
    assert {name: len(texts) for name, texts in found.items()} == {"female": 4275, "male": 1219, "surname": 88_799}
    assert "MARY" in found["female"]
    assert "JAMES" in found["male"]
    assert "SMITH" in found["surname"]
    assert max(len(name) for name in found["surname"]) == 13
    assert sum(path.stat().st_size for path in texts.NAMES_FOLDER.glob("names-*.xz")) < 220_000


def test_damaged_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES_CLASSES:
        (tmp_path / f"names-{name}.xz").write_bytes((texts.NAMES_FOLDER / "names-male.xz").read_bytes())
    monkeypatch.setattr(texts, "NAMES_FOLDER", tmp_path)
    with pytest.raises(InvalidInput, match="built-in names must have SHA-256"):
        names()

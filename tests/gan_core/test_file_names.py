"""Tests the checks of file names from outside, one by one and together."""

from __future__ import annotations

import pytest

from gan_core import file_names
from gan_core.errors import InvalidInput
from gan_core.file_names import require_inside, require_names


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "a/..", "/x", "//x", "", ".", "./x", "a/./x", "a//x", "a/", "a/b/"),
        *("a\nb", "a\\..\\b", "C:\\x", "a\0b", "a\x1b[2J", "a\x85", "a\u2028b", "a\ud800b"),
        *("x" * 256, "é" * 128, f"{'x' * 255}.png", "/".join(["x" * 200] * 6)),
    ],
)
def test_names_outside_the_folder_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"below its folder with .*Received: ") as refusal:
        require_inside(name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["..x/...", "x" * 255, " ", "-rf", "日本語　é\u202f🐈\u200d.png", "C:x", "a b/c'd\"e"])
def test_unusual_but_valid_names_are_accepted(name: str) -> None:
    require_inside(name)


@pytest.mark.parametrize(
    ("listed", "rule"),
    [
        (["a", "b", "a"], "must be unique. Received: 'a' twice in the bucket"),
        (["a", "a/b"], "both a file and a folder. Received: 'a' and 'a/b'"),
        (["a/b/c/d", "a/b"], "both a file and a folder. Received: 'a/b' and 'a/b/c/d'"),
        (["a.PNG", "a.png"], "'a.PNG' and 'a.png'"),
        (["Cats/1", "cats/2"], "'Cats' and 'cats'"),
        (["A/b", "a"], "upper and lower case"),
        (["e\u0301", "\u00e9"], "upper and lower case"),
        (["a", "b", "c", "d", "e"], "at most 4 files. Received: 5 in the bucket"),
        (["ok", "../x"], "below its folder"),
    ],
)
def test_conflicting_names_are_refused(listed: list[str], rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_names, "MOST_FILES", 4)
    with pytest.raises(InvalidInput) as refusal:
        require_names(listed, "the bucket")
    assert rule in str(refusal.value)


def test_names_without_conflict_are_accepted() -> None:
    require_names(["a/b", "a/c", "ab", "a.b", "d/a", "d/a-b"], "the bucket")
    require_names([], "the bucket")

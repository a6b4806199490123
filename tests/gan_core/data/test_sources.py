import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.modalities.choice import open_source


def _write(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16), level).save(path, "PNG")


def _reason(folder: Path, path: str) -> str:
    (image,) = (image for image in open_source(str(folder)) if image.path == path)
    with pytest.raises(UnreadableItem) as caught:
        image.open()
    return str(caught.value)


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.webp", "d.jpeg"):
        _write(tmp_path / name)

    source = open_source(str(tmp_path))

    assert source.count == 4
    assert list(source.classes) == []
    assert sorted((image.path, image.label) for image in source) == [
        ("a.JPG", -1),
        ("b.png", -1),
        ("c.webp", -1),
        ("d.jpeg", -1),
    ]


def test_subfolders_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("cat/1.png", "Dog/1.png", "ant/2.png", "cat/notes.txt"):
        _write(tmp_path / name)

    source = open_source(str(tmp_path))

    assert list(source.classes) == ["Dog", "ant", "cat"]
    assert sorted((image.path, image.label) for image in source) == [
        ("Dog/1.png", 0),
        ("ant/2.png", 1),
        ("cat/1.png", 2),
    ]


def test_a_folder_that_holds_everything_is_no_class(tmp_path: Path) -> None:
    for name in ("pets/train/cat/1.png", "pets/train/ant/1.png", "pets/README.md", "pets/.git/a/1", "LICENSE.txt"):
        _write(tmp_path / name)

    source = open_source(str(tmp_path))

    assert list(source.classes) == ["ant", "cat"]
    assert sorted((image.path, image.label) for image in source) == [
        ("pets/train/ant/1.png", 0),
        ("pets/train/cat/1.png", 1),
    ]
    for image in source:
        with image.open() as opened:
            assert opened.size == (16, 16)


def test_the_only_folder_of_files_stays_a_class(tmp_path: Path) -> None:
    _write(tmp_path / "pets" / "cat" / "1.png")

    assert list(open_source(str(tmp_path)).classes) == ["cat"]
    assert list(open_source(str(tmp_path / "pets")).classes) == ["cat"]


@pytest.mark.parametrize("splits", [("test", "train"), ("train", "val"), ("held-out", "other")])
def test_splits_beside_each_other_are_refused_by_name(splits: tuple[str, str], tmp_path: Path) -> None:
    for name in splits:
        _write(tmp_path / name / "cat" / "1.png")

    best = "train" if "train" in splits else splits[0]
    places = ", ".join(f"{name}/cat" for name in splits)
    with pytest.raises(InvalidInput, match=rf"such as .*/{best}\. Received: source='{tmp_path}' with {places}$"):
        open_source(str(tmp_path))
    assert list(open_source(str(tmp_path / best)).classes) == ["cat"]


def test_class_names_are_normalised_to_composed_unicode(tmp_path: Path) -> None:
    _write(tmp_path / "e\u0301te\u0301" / "1.png")

    assert list(open_source(str(tmp_path)).classes) == ["\u00e9t\u00e9"]


def _as(name: str, code: str) -> str:
    return os.fsdecode(name.encode(code))


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        ([_as(name, "cp1251") for name in ("кот", "пёс", "лев")], [r"\xea\xee\xf2", r"\xeb\xe5\xe2", r"\xef\xb8\xf1"]),
        (["Cats", "cats", "cats ", "\u200fcats"], ["Cats", "cats", "cats ", "\u200fcats"]),
        (["a\x1b[2J", "a\nb", "\u202egnp"], [r"\u202egnp", r"a\nb", r"a\x1b[2J"]),
    ],
    ids=["not UTF-8", "similar", "controls a terminal"],
)
def test_each_folder_is_its_own_class(folders: list[str], classes: list[str], tmp_path: Path) -> None:
    for name in folders:
        _write(tmp_path / name / "1.png")

    source = open_source(str(tmp_path))

    assert list(source.classes) == classes
    assert {(image.path, image.label) for image in source} == {
        (f"{name}/1.png", label) for label, name in enumerate(classes)
    }


@pytest.mark.parametrize("pair", [("\u00e9", "e\u0301"), (_as("é", "latin-1"), r"\xe9")])
def test_two_folders_with_the_same_class_name_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    for name in pair:
        _write(tmp_path / name / "1.png")

    with pytest.raises(InvalidInput, match=r"Two folders must not have the same class name\. Received: .*") as caught:
        open_source(str(tmp_path))
    assert all(ascii(name) in str(caught.value) for name in pair)


def test_other_files_are_ignored_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "README.md", "Thumbs.db", ".DS_Store", "._a.png", ".git/b.png", "__MACOSX/._a.png"):
        _write(tmp_path / name)

    with caplog.at_level("INFO"):
        source = open_source(str(tmp_path))

    assert [image.path for image in source] == ["a.png"]
    assert list(source.classes) == []
    assert "Ignored 2 files" in caplog.text


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret.png"
    _write(secret)
    _write(tmp_path / "inside" / "a.png", 7)
    (tmp_path / "inside" / "b.png").symlink_to(secret)
    (tmp_path / "inside" / "c.png").symlink_to("a.png")
    (tmp_path / "inside" / "e.png").symlink_to("nothing.png")
    (tmp_path / "inside" / "f.png").symlink_to("f.png")

    source = open_source(str(tmp_path / "inside"))

    assert source.count == 5
    assert _reason(tmp_path / "inside", "f.png") == "a link to nothing"
    assert _reason(tmp_path / "inside", "b.png") == f"a symbolic link that leads out of the folder, to {secret}"
    assert _reason(tmp_path / "inside", "e.png") == "not a regular file, or a link to nothing"
    (linked,) = (image for image in source if image.path == "c.png")
    with linked.open() as image:
        assert (np.asarray(image) == 7).all()


def test_a_link_may_point_to_a_file_in_the_dvc_cache(tmp_path: Path) -> None:
    _write(tmp_path / "a.png", 7)
    content = (tmp_path / "a.png").read_bytes()
    digest = hashlib.md5(content).hexdigest()
    for number, name in enumerate((digest, hashlib.md5(b"").hexdigest())):
        cached = tmp_path / "cache" / "files" / "md5" / name[:2] / name[2:]
        cached.parent.mkdir(parents=True)
        cached.write_bytes(content)
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / f"{number}.png").symlink_to(cached)

    (followed,) = (image for image in open_source(str(tmp_path / "raw")) if image.path == "0.png")
    with followed.open() as image:
        assert (np.asarray(image) == 7).all()
    assert "leads out of the folder" in _reason(tmp_path / "raw", "1.png")


@pytest.mark.parametrize("target", ["../elsewhere", ".store/dogs", "../gone", "dogs"])
@pytest.mark.parametrize("place", ["dogs", "cats/dogs"])
def test_a_dead_link_or_a_link_to_a_folder_is_refused_by_name(target: str, place: str, tmp_path: Path) -> None:
    for name in ("raw/cats/1.png", "elsewhere/1.png", "raw/.store/dogs/1.png"):
        _write(tmp_path / name)
    (tmp_path / "raw" / place).symlink_to(target if target == "dogs" else tmp_path / "raw" / target)

    with pytest.raises(InvalidInput, match=rf"must point to a file.*Received: .*{place}, which points to .*{target}"):
        open_source(str(tmp_path / "raw"))


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere" / "cats" / "1.png")
    (tmp_path / "raw").symlink_to("elsewhere")

    (image,) = open_source(str(tmp_path / "raw"))
    with image.open() as opened:
        assert opened.size == (16, 16)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")

    assert _reason(tmp_path, "a.png") == "not a regular file, or a link to nothing"


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path: Path) -> None:
    _write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")))

    (image,) = open_source(str(tmp_path))

    assert image.path == r"\xff.png"
    with image.open() as opened:
        assert opened.size == (16, 16)


def test_digits_are_scaled_to_8_bits() -> None:
    source = open_source("digits")
    first = next(iter(source))

    assert source.count == 1797
    assert list(source.classes) == [str(digit) for digit in range(10)]
    assert first.label == 0
    # The first row of the first digit is 0 0 5 13 9 1 0 0 in sixteenths.
    assert np.asarray(first.open())[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"must contain images .*\. Received: source='.*' with 0 other files"),
        (["notes.md"], "with 1 other files"),
        (["a.png", "cat/b.png"], "either images or one folder for each class, not both.* with 1 images and .* cat"),
        (
            ["cat/tabby/a.png", "dog/b.png"],
            r"no folders\. If .*/cat contains the classes, .* the source; .* in a CSV\. Received: .*cat/tabby",
        ),
        (
            ["cat/a.png", "dog/a.gif", "empty/.gitignore"],
            "class must contain at least one image .* with 2 that contain none: dog, empty",
        ),
    ],
)
def test_a_folder_with_an_invalid_layout_is_refused(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        _write(tmp_path / name)

    with pytest.raises(InvalidInput, match=message):
        open_source(str(tmp_path))


def test_the_error_for_a_missing_folder_names_the_built_in_sources() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"embedded, fashion-mnist, digits, speech, names or an existing folder or.*'no/such'",
    ):
        open_source("no/such")

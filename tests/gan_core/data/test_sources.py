import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.data.decode import UnreadableImage
from gan_core.data.sources import open_source
from gan_core.errors import InvalidInput


def _write(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16), level).save(path, "PNG")


def _reason(folder: Path, path: str) -> str:
    (image,) = (image for image in open_source(str(folder)) if image.path == path)
    with pytest.raises(UnreadableImage) as caught:
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


def test_the_folders_of_a_folder_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("cat/1.png", "Dog/1.png", "ant/2.png", "empty/notes.txt"):
        _write(tmp_path / name)

    source = open_source(str(tmp_path))

    assert list(source.classes) == ["Dog", "ant", "cat"]
    assert sorted((image.path, image.label) for image in source) == [
        ("Dog/1.png", 0),
        ("ant/2.png", 1),
        ("cat/1.png", 2),
    ]


def test_a_class_has_one_name_in_both_unicode_forms(tmp_path: Path) -> None:
    _write(tmp_path / "e\u0301te\u0301" / "1.png")

    assert list(open_source(str(tmp_path)).classes) == ["\u00e9t\u00e9"]


def test_other_files_are_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "README.md", "Thumbs.db", ".DS_Store", "._a.png", ".git/b.png", "__MACOSX/._a.png"):
        _write(tmp_path / name)

    with caplog.at_level("INFO"):
        source = open_source(str(tmp_path))

    assert [image.path for image in source] == ["a.png"]
    assert list(source.classes) == []
    assert "Passed over 2 files" in caplog.text


def test_a_link_must_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    _write(tmp_path / "outside" / "secret.png")
    _write(tmp_path / "inside" / "a.png", 7)
    (tmp_path / "inside" / "b.png").symlink_to(tmp_path / "outside" / "secret.png")
    (tmp_path / "inside" / "c.png").symlink_to("a.png")
    (tmp_path / "inside" / "d").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "e.png").symlink_to("nothing.png")

    source = open_source(str(tmp_path / "inside"))

    assert source.count == 5
    assert _reason(tmp_path / "inside", "b.png") == "a symbolic link that leads out of the source folder"
    assert _reason(tmp_path / "inside", "d") == "a symbolic link that leads out of the source folder"
    assert _reason(tmp_path / "inside", "e.png") == "not a regular file, or a link to nothing"
    (linked,) = (image for image in source if image.path == "c.png")
    with linked.open() as image:
        assert (np.asarray(image) == 7).all()


def test_a_link_to_itself_is_no_image(tmp_path: Path) -> None:
    _write(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.png").symlink_to("loop.png")

    assert sorted(image.path for image in open_source(str(tmp_path))) == ["a.png", "loop.png"]


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")

    assert _reason(tmp_path, "a.png") == "not a regular file, or a link to nothing"


def test_a_name_that_is_no_utf_8_can_be_reported(tmp_path: Path) -> None:
    _write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")))

    (image,) = open_source(str(tmp_path))

    assert image.path == "\N{REPLACEMENT CHARACTER}.png"
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
        ([], r"must hold images .*\. Received: source='.*' with 0 other files"),
        (["notes.txt"], "with 1 other files"),
        (["a.png", "cat/b.png"], "either images or one folder for each class, not both.* with 1 images beside .* cat"),
        (["cat/tabby/a.png"], "must hold images and no folders. Received: .*cat/tabby"),
    ],
)
def test_a_folder_that_is_not_understood_is_refused(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        _write(tmp_path / name)

    with pytest.raises(InvalidInput, match=message):
        open_source(str(tmp_path))


def test_a_missing_folder_is_refused_with_the_built_in_names() -> None:
    with pytest.raises(InvalidInput, match=r"embedded, fashion-mnist, digits or an existing folder.*'no/such'"):
        open_source("no/such")

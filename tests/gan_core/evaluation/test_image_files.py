"""Tests folders and archives of images, valid and malicious."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import InvalidInput
from gan_core.evaluation import image_files
from gan_core.evaluation.image_files import FileImages
from gan_core.evaluation.report.pictures import strip

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
COLOUR = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def folder(path: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def archive(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return path


def test_a_folder_and_its_archive_are_the_same_images(tmp_path: Path) -> None:
    contents = {"b/2.png": png(COLOUR), "a.PNG": png(GREY), "b/notes.txt": b"no image", "b/1.png": png(COLOUR[::-1])}
    one, other = FileImages(folder(tmp_path / "f", contents)), FileImages(archive(tmp_path / "f.zip", contents))
    assert one.count == other.count == 3
    assert one.digest == other.digest
    for images in (one, other):
        every = list(images.images(np.arange(3)))
        for expected in (GREY[:, :, None], COLOUR, COLOUR[::-1]):
            assert sum(np.array_equal(image, expected) for image in every) == 1
        in_batches = [image for batch in images.batches(8) for image in batch]
        assert all(np.array_equal(*pair) for pair in zip(in_batches, every, strict=True))


def test_images_of_class_folders_are_mixed(tmp_path: Path) -> None:
    contents = {
        f"{shade}/{number}.png": png(np.full((4, 5), shade, np.uint8)) for shade in (10, 99) for number in range(50)
    }
    shades = [image[0, 0, 0] for image in FileImages(folder(tmp_path, contents)).images(np.arange(100))]
    for part in np.split(np.array(shades), 5):
        assert 0.2 < (part == 10).mean() < 0.8


def test_the_digest_depends_on_content_not_names(tmp_path: Path) -> None:
    first = FileImages(folder(tmp_path / "a", {"1.png": png(GREY), "2.png": png(COLOUR)})).digest
    assert FileImages(folder(tmp_path / "b", {"x.png": png(GREY), "y.png": png(COLOUR)})).digest == first
    assert FileImages(folder(tmp_path / "c", {"1.png": png(GREY), "2.png": png(GREY)})).digest != first


def test_batches_are_no_larger_than_requested(tmp_path: Path) -> None:
    images = FileImages(folder(tmp_path, {f"{number}.png": png(GREY) for number in range(5)}))
    assert [len(batch) for batch in images.batches(2)] == [2, 2, 1]


def test_unusual_images_are_decoded(tmp_path: Path) -> None:
    transparent = np.dstack([COLOUR, np.full((4, 5), 0, np.uint8)])
    upright = Image.fromarray(COLOUR)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", exif=exif)
    palette = io.BytesIO()
    upright.convert("P").save(palette, "PNG")
    contents = [png(GREY.astype(np.uint16) * 257), png(transparent), buffer.getvalue(), palette.getvalue()]
    sixteen, clear, turned, indexed = (
        next(FileImages(folder(tmp_path / str(number), {"image.png": content})).images(np.arange(1)))
        for number, content in enumerate(contents)
    )
    assert np.array_equal(sixteen[:, :, 0], GREY)
    assert not clear.any()
    assert np.array_equal(turned, np.rot90(COLOUR, -1))
    assert indexed.shape == (4, 5, 3)


@pytest.mark.parametrize("make", [folder, archive])
def test_a_folder_or_archive_without_images_is_refused(tmp_path: Path, make: object) -> None:
    with pytest.raises(InvalidInput, match="at least one image"):
        FileImages(make(tmp_path / "x.zip", {"notes.txt": b"none"}))


@pytest.mark.parametrize("name", ["none", "none.zip"])
def test_a_missing_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"Received: .*none"):
        FileImages(tmp_path / name)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    images = FileImages(folder(tmp_path, {"good.png": png(GREY), "half.png": png(noise)[:2000]}))
    with pytest.raises(InvalidInput, match=r"readable.*half\.png"):
        list(images.batches(2))


def test_member_names_that_leave_the_archive_write_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    images = FileImages(archive(inside / "x.zip", {"../../evil.png": png(GREY), "/evil.png": png(GREY)}))
    assert sum(len(batch) for batch in images.batches(4)) == 2
    assert os.listdir(tmp_path) == ["inside"]


def test_a_link_to_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    inside = folder(tmp_path / "inside", {"a.png": png(GREY)})
    (inside / "b.png").symlink_to("a.png")
    assert FileImages(inside).count == 2
    (tmp_path / "secret.png").write_bytes(png(GREY))
    (inside / "c.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(
        InvalidInput, match=r"must be readable: a symbolic link that leads out of the folder, to .*secret\.png.*c\.png"
    ):
        FileImages(inside)


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LARGEST_FILE_BYTES", 2**20)
    with pytest.raises(InvalidInput, match=r"must be readable: more than 1048576 bytes.*bomb\.png"):
        FileImages(archive(tmp_path / "x.zip", {"bomb.png": bytes(2**24)}))


def test_an_image_with_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LARGEST_IMAGE_MEGAPIXELS", 19e-6)
    with pytest.raises(InvalidInput, match=r"5 × 4 pixels.*bomb\.png"):
        FileImages(folder(tmp_path, {"bomb.png": png(GREY)}))


@pytest.mark.parametrize("make", [folder, archive])
def test_hidden_and_system_files_are_ignored_as_in_prepare(tmp_path: Path, make: object) -> None:
    contents = {"made/1.png": png(GREY), "made/v1.0/2.png": png(GREY)}
    copies = {
        "made/.ipynb_checkpoints/1-checkpoint.png": png(GREY),
        "__MACOSX/made/._1.png": b"\0\5\x16\7",
        "made/._1.png": b"\0\5\x16\7",
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": png(GREY),
    }
    only, both = (
        FileImages(make(tmp_path / name, files)) for name, files in (("a.zip", contents), ("b.zip", contents | copies))
    )
    assert (both.count, both.digest) == (2, only.digest)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"elsewhere/1.png": png(GREY), "made/1.png": png(GREY)})
    (tmp_path / "made" / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match=r"must point to a file.*made/more, which points to .*elsewhere"):
        FileImages(tmp_path / "made")


def test_two_members_with_the_same_name_are_two_images(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"1.png": png(GREY), "2.png": png(COLOUR)})
    path.write_bytes(path.read_bytes().replace(b"2.png", b"1.png"))
    shapes = {image.shape for image in FileImages(tmp_path / "x.zip").images(np.arange(2))}
    assert shapes == {(4, 5, 1), (4, 5, 3)}


def _overwrite(path: Path, position: Callable[[bytes], int], content: bytes) -> None:
    found = path.read_bytes()
    at = position(found)
    path.write_bytes(found[:at] + content + found[at + len(content) :])


@pytest.mark.parametrize(
    ("method", "offset", "content"),
    [
        (zipfile.ZIP_STORED, 6, b"\x63"),  # the version that it needs
        (zipfile.ZIP_STORED, 8, b"\1"),  # encrypted
        (zipfile.ZIP_STORED, 9, b"\x08\0\0"),  # deflated, which it is not
        (zipfile.ZIP_STORED, 10, b"\x61"),  # packed in an unknown way
        (zipfile.ZIP_STORED, 42, b"\xff\xff\0"),  # lies elsewhere
    ],
)
def test_an_unreadable_member_is_refused(tmp_path: Path, method: int, offset: int, content: bytes) -> None:
    path = archive(tmp_path / "x.zip", {"1.png": png(GREY)})
    _overwrite(path, lambda found: found.index(b"PK\1\2") + offset, content)
    with pytest.raises(InvalidInput, match=r"(archive cannot be read|folder or \.zip of images): .*Received: .*x\.zip"):
        FileImages(path)


def test_a_member_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"ä.png": png(GREY)})
    _overwrite(path, lambda found: found.index(b"PK\1\2") + 46, b"\xff")
    with pytest.raises(InvalidInput, match=r"folder or \.zip of images: .*Received: .*x\.zip"):
        FileImages(path)


def test_a_damaged_lzma_member_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as opened:
        opened.writestr("1.png", png(GREY))
    _overwrite(tmp_path / "x.zip", lambda _: 50, bytes(20))
    with pytest.raises(InvalidInput, match=r"archive cannot be read: .*1\.png"):
        FileImages(tmp_path / "x.zip")


def test_the_error_names_a_file_without_read_permission(tmp_path: Path) -> None:
    path = folder(tmp_path, {"1.png": png(GREY)})
    (path / "1.png").chmod(0)
    imports = "from pathlib import Path\nfrom gan_core.evaluation.image_files import FileImages\n"
    program = f"{imports}FileImages(Path({str(path)!r}))"
    without_roots_rights = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
    command = [*without_roots_rights, sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert f"must be readable: Permission denied. Received: {path}, 1.png" in done.stderr


def test_a_link_to_an_endless_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to("/proc/kmsg")
    with pytest.raises(InvalidInput, match="leads out of the folder"):
        FileImages(tmp_path)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(InvalidInput, match=r"there is no such file or folder\. Received: .*x\.zip"):
        FileImages(tmp_path / "x.zip")


def test_the_bytes_of_a_batch_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "BATCH_BYTES", 50)
    images = FileImages(folder(tmp_path, {f"{number}.png": png(GREY) for number in range(5)}))
    assert [len(batch) for batch in images.batches(256)] == [2, 2, 1]
    monkeypatch.setattr(image_files, "BATCH_BYTES", 5)
    assert [len(batch) for batch in images.batches(256)] == [1] * 5


def test_memory_does_not_grow_with_the_number_of_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "BATCH_BYTES", 2**21)
    photo = png(np.zeros((500, 400, 3), np.uint8))  # 600 kB each
    images = FileImages(folder(tmp_path, {f"{number}.png": photo for number in range(24)}))
    tracemalloc.start()
    for batch in images.batches(256):
        assert batch.nbytes <= 2**21
    strip(images.images(np.arange(24)), 8, "photos")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 2**21 < 24 * 600_000


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = archive(tmp_path / "x.zip", {"1.png": png(noise)})
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="cannot be read"):
        FileImages(path)

"""The shape of prepared images that are `auto` follows from the raw images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_core.config import ImageSettings
from gan_core.data.image_shape import with_shape
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.modalities.choice import open_source

AUTOMATIC: dict[str, Any] = {
    "height": "auto",
    "width": "auto",
    "channels": "auto",
    "fit": "center_crop",
    "background": 0,
    "pairs": "none",
    "max_image_megapixels": 1,
}
GREY, RED = (90, 90, 90), (200, 30, 30)


def write(folder: Path, sizes: list[tuple[int, int]], colours: list[tuple[int, int, int]] | None = None) -> Path:
    """Writes a picture of each size, (width, height), with a ramp that makes every picture different."""
    folder.mkdir(parents=True)
    for index, size in enumerate(sizes):
        image = Image.new("RGB", size, (colours or [GREY] * len(sizes))[index])
        image.putpixel((0, 0), (index % 256,) * 3)
        image.save(folder / f"{index}.png")
    return folder


def chosen(folder: Path, **given: Any) -> tuple[int, int, int]:
    settings = with_shape(ImageSettings.parse(AUTOMATIC | given), open_source(str(folder)))
    return settings.height, settings.width, settings.channels


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(500, 300)] * 3, 64),
        ([(64, 64)] * 3, 64),
        ([(63, 200)] * 3, 32),
        ([(28, 28)] * 3, 28),
        ([(27, 40)] * 3, 16),
        ([(8, 8)] * 3, 16),
        ([(30, 30), (30, 30), (900, 900)], 28),  # the median, not the mean
    ],
)
def test_a_side_is_the_largest_that_most_images_fill(tmp_path: Path, sizes: list[tuple[int, int]], side: int) -> None:
    assert chosen(write(tmp_path / "raw", sizes)) == (side, side, 1)


def test_images_are_in_colour_if_more_than_a_twentieth_have_colour(tmp_path: Path) -> None:
    sizes = [(16, 16)] * 40
    assert chosen(write(tmp_path / "two", sizes, [RED] * 2 + [GREY] * 38))[2] == 1
    assert chosen(write(tmp_path / "three", sizes, [RED] * 3 + [GREY] * 37))[2] == 3


def test_grey_jpegs_stored_as_rgb_are_grey(tmp_path: Path) -> None:
    tmp_path = tmp_path / "raw"
    tmp_path.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 1), np.uint8)
    for index, levels in enumerate(noise):
        Image.fromarray(levels.repeat(3, axis=2)).save(tmp_path / f"{index}.jpg", quality=40)
    assert chosen(tmp_path) == (32, 32, 1)


def test_a_given_value_stays(tmp_path: Path) -> None:
    folder = write(tmp_path / "raw", [(100, 100)] * 3, [RED] * 3)
    assert chosen(folder, height=16) == (16, 16, 3)
    assert chosen(folder, width=128, channels=1) == (128, 128, 1)
    assert chosen(folder, height=32, width=16) == (32, 16, 3)


def test_unreadable_and_too_large_files_do_not_count(tmp_path: Path) -> None:
    folder = write(tmp_path / "raw", [(30, 30), (2000, 2000), (2000, 2000)])  # larger than a megapixel
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert chosen(folder) == (28, 28, 1)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "damaged.png").write_bytes(b"nothing")
    assert chosen(folder) == (16, 16, 1)  # prepare will name the file


def test_a_folder_and_an_archive_of_it_have_the_same_shape(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = [(int(side), 300) for side in rng.choice([20, 70], 600)]  # more images than are measured, near the limit
    folder = write(tmp_path / "raw", sizes)
    archive = shutil.make_archive(str(tmp_path / "raw"), "zip", folder)
    assert chosen(folder) == chosen(Path(archive))


def test_the_manifest_records_the_chosen_shape(tmp_path: Path, prepare_config: Callable[..., PrepareConfig]) -> None:
    folder = write(tmp_path / "raw", [(40, 40)] * 20, [RED] * 20)
    config = prepare_config(source=str(folder), **AUTOMATIC)
    manifest = prepare(open_source(str(folder)), config, tmp_path / "prepared")
    assert manifest.shape == (32, 32, 3)
    assert [manifest.settings[f"image.{name}"] for name in ("height", "width", "channels")] == [32, 32, 3]

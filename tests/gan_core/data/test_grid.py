import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.codecs import lettering
from gan_core.codecs.grid import image_grid, png_bytes, write_png
from gan_core.codecs.lettering import LETTER_PIXELS, lettered


def test_images_are_laid_out_row_by_row_with_white_gaps() -> None:
    images = np.stack([np.full((80, 80, 1), level, np.uint8) for level in (10, 20, 30)])

    grid = image_grid(images, columns=2, gap=3)

    assert grid.shape == (3 + 2 * 83, 3 + 2 * 83, 1)
    assert (grid[3:83, 3:83] == 10).all()
    assert (grid[3:83, 86:166] == 20).all()
    assert (grid[86:166, 3:83] == 30).all()
    cells = np.zeros(grid.shape[:2], bool)
    cells[3:83, 3:83] = cells[3:83, 86:166] = cells[86:166, 3:83] = True
    assert (grid[~cells] == 255).all()


def test_cells_that_no_image_fills_are_white() -> None:
    images = np.stack([np.full((80, 80, 1), level, np.uint8) for level in (10, 20)])
    grid = image_grid(images, columns=2, gap=0, filled=np.array([True, False, False, True]))
    assert [grid[row, column, 0] for row in (0, 80) for column in (0, 80)] == [10, 255, 255, 20]


def test_small_images_are_enlarged_by_an_integer_factor() -> None:
    image = np.array([[0, 50], [100, 150]], np.uint8).repeat(14, axis=0).repeat(14, axis=1)[None, :, :, None]

    grid = image_grid(image, columns=1, gap=0)

    assert grid.shape == (84, 84, 1)
    assert np.array_equal(grid[::3, ::3], image[0])
    assert np.array_equal(grid[2::3, 1::3], image[0])


def test_row_names_are_in_the_left_margin() -> None:
    images = np.zeros((4, 80, 80, 3), np.uint8)
    plain = image_grid(images, columns=2)

    named = image_grid(images, columns=2, names=["a", "a rather long name of a class\nof two lines"])

    assert np.array_equal(named[:, -plain.shape[1] + 2 :], plain[:, 2:])
    margin = named[:, : named.shape[1] - plain.shape[1], 0] < 128
    assert margin[:82].any()
    assert margin[84:].sum() > 5 * margin[:82].sum()


def _ink(name: str) -> np.ndarray:
    """The margin that shows a name."""
    grid = image_grid(np.zeros((1, 80, 80, 1), np.uint8), columns=1, names=[name])
    return grid[:, :-84, 0] < 128


def test_names_in_other_scripts_are_drawn_as_letters() -> None:
    for one, other in (("Müller", "Mßller"), ("Иван", "Игор"), ("Ωμέγα", "Ωμίγα")):
        assert _ink(one).shape[1] < 90
        assert not np.array_equal(_ink(one), _ink(other))


@pytest.mark.parametrize("name", ["中", "\u05d0", "\U0001f9e0", "\x1b", "\udcff"])
def test_a_character_that_cannot_be_drawn_is_its_code_point(name: str) -> None:
    _, (text, other) = lettered([name, "é"], 10)
    assert (text, other) == (f"<U+{ord(name):04X}>", "é")
    font, _ = lettered("é", 1)
    assert _ink(name).shape[1] == round(font.getlength(text)) + 2 * LETTER_PIXELS


def test_the_font_is_that_of_the_licence_beside_it() -> None:
    assert lettered("é", 1)[0].getname() == ("DejaVu Sans", "Book")
    assert "Bitstream Vera Fonts Copyright" in (Path(lettering.__file__).parent / "LICENSE-DejaVu").read_text()


def test_large_images_keep_their_size() -> None:
    assert image_grid(np.zeros((1, 256, 256, 3), np.uint8), columns=1, gap=0).shape == (256, 256, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_contains_the_pixels(channels: int, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)

    write_png(tmp_path / "image.png", image)

    assert (tmp_path / "image.png").read_bytes() == png_bytes(image)
    read = np.asarray(Image.open(io.BytesIO(png_bytes(image))))
    assert np.array_equal(read.reshape(image.shape), image)


def test_a_wide_image_is_not_enlarged_beyond_320_pixels() -> None:
    assert image_grid(np.zeros((1, 16, 128, 1), np.uint8), columns=1, gap=0).shape == (32, 256, 1)
    assert image_grid(np.zeros((1, 16, 512, 1), np.uint8), columns=1, gap=0).shape == (16, 512, 1)
    assert image_grid(np.zeros((1, 128, 16, 1), np.uint8), columns=1, gap=0).shape == (128, 16, 1)

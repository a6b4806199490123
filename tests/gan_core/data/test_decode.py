import functools
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_core.data.decode import decode, open_image
from gan_core.errors import UnreadableItem

Settings = Callable[..., Any]


def _save(folder: Path, image: Image.Image, suffix: str = "png", **options: Any) -> Path:
    path = folder / f"image.{suffix}"
    image.save(path, **options)
    return path


def _decode(path: Path, config: Any) -> np.ndarray:
    return decode(functools.partial(open_image, path.read_bytes()), config)


def _grey(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint8))


_RAMP = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_levels_are_kept(channels: int, tmp_path: Path, image_settings: Settings) -> None:
    pixels = _decode(_save(tmp_path, _grey(_RAMP)), image_settings(channels=channels))

    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.repeat(_RAMP[..., None], channels, axis=2))


def test_colour_becomes_grey_by_luma(tmp_path: Path, image_settings: Settings) -> None:
    # ITU-R 601-2: 0.299 R + 0.587 G + 0.114 B
    for colour, luma in {(255, 0, 0): 76, (0, 255, 0): 150, (0, 0, 255): 29, (255, 255, 255): 255}.items():
        pixels = _decode(_save(tmp_path, Image.new("RGB", (16, 16), colour)), image_settings())
        assert (pixels == luma).all()


def _palette_image() -> Image.Image:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 20, 30, 40, 50, 60])
    return image


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (_palette_image(), {}, (10, 20, 30)),
        (_palette_image(), {"transparency": bytes([255, 0, 255])}, (100, 100, 100)),
        # 0.2 · 255 + 0.8 · 100 = 131; 0.2 · 0 + 0.8 · 100 = 80; 0.2 · 50 + 0.8 · 100 = 90
        (Image.new("RGBA", (16, 16), (255, 0, 50, 51)), {}, (131, 80, 90)),
        (_palette_image(), {"transparency": bytes([255, 51, 255])}, (82, 84, 86)),
        (Image.new("LA", (16, 16), (255, 51)), {}, (131, 131, 131)),
        (Image.new("L", (16, 16), 7), {"transparency": 7}, (100, 100, 100)),
        (Image.new("L", (16, 16), 7), {"transparency": 8}, (7, 7, 7)),
        (Image.new("RGB", (16, 16), (1, 2, 3)), {"transparency": (1, 2, 3)}, (100, 100, 100)),
        (Image.new("1", (16, 16), 1), {}, (255, 255, 255)),
        (Image.new("1", (16, 16), 0), {}, (0, 0, 0)),
        (Image.fromarray(np.full((16, 16), 500, np.uint16)), {"transparency": 500}, (100, 100, 100)),
        (Image.fromarray(np.full((16, 16), 500, np.uint16)), {"transparency": 501}, (2, 2, 2)),
    ],
)
def test_each_png_mode_is_composited_over_the_background(
    image: Image.Image,
    options: dict[str, Any],
    expected: tuple[int, int, int],
    tmp_path: Path,
    image_settings: Settings,
) -> None:
    path = _save(tmp_path, image, **options)

    assert (_decode(path, image_settings(channels=3, background=100)) == expected).all()


def test_16_bits_are_scaled_not_clipped(tmp_path: Path, image_settings: Settings) -> None:
    path = _save(tmp_path, Image.fromarray((_RAMP * 257).astype(np.uint16)))

    with Image.open(path) as stored:
        assert stored.mode == "I;16"
    assert np.array_equal(_decode(path, image_settings())[..., 0], _RAMP)


def test_cmyk_becomes_rgb(tmp_path: Path, image_settings: Settings) -> None:
    path = _save(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpg", quality=100)

    assert np.abs(_decode(path, image_settings(channels=3)).astype(int) - (255, 0, 0)).max() <= 2
    assert np.abs(_decode(path, image_settings()).astype(int) - 76).max() <= 2


@pytest.mark.parametrize(
    ("orientation", "upright"),
    # The inverse of the transformation that the tag describes: EXIF 2.3, section 4.6.4.
    [
        (1, lambda stored: stored),
        (2, np.fliplr),
        (3, lambda stored: np.rot90(stored, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored, 2).T),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_exif_orientation_is_undone(
    orientation: int, upright: Any, suffix: str, tmp_path: Path, image_settings: Settings
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _save(tmp_path, _grey(_RAMP), suffix, exif=exif, lossless=True)

    assert np.array_equal(_decode(path, image_settings())[..., 0], upright(_RAMP))


def test_a_wide_and_a_tall_image_are_cropped_in_the_centre(tmp_path: Path, image_settings: Settings) -> None:
    wide = np.arange(16 * 21).reshape(16, 21) % 251

    for stored in (wide, wide.T):
        expected = wide[:, 2:18] if stored is wide else wide.T[2:18]
        assert np.array_equal(_decode(_save(tmp_path, _grey(stored)), image_settings())[..., 0], expected)


@pytest.mark.parametrize(("height", "width"), [(16, 32), (32, 16), (16, 28), (64, 16)])
@pytest.mark.parametrize("stored", [(40, 40), (20, 77), (77, 20), (3, 3), (1, 90)])
def test_an_image_is_cropped_to_the_proportions_of_a_rectangle(
    stored: tuple[int, int], height: int, width: int, tmp_path: Path, image_settings: Settings
) -> None:
    rows, columns = stored
    scale = max(height / rows, width / columns)  # the crop fills the shape
    ramp = np.add.outer(np.zeros(rows), np.linspace(0, 255, columns)).round()

    pixels = _decode(_save(tmp_path, _grey(ramp)), image_settings(height=height, width=width))

    assert pixels.shape == (height, width, 1)
    if min(stored) > 16:
        shown = width / scale / columns * 255  # the levels of the ramp in the columns that are left
        assert abs(int(pixels.max()) - int(pixels.min()) - shown) < 255 / min(columns, width) * 2


@pytest.mark.parametrize(
    ("stored", "box"),
    [((16, 16), np.s_[:, 8:24]), ((40, 20), np.s_[:, 12:20]), ((10, 80), np.s_[6:10, :])],
)
def test_an_image_is_padded_to_a_rectangle(
    stored: tuple[int, int], box: tuple[slice, slice], tmp_path: Path, image_settings: Settings
) -> None:
    path = _save(tmp_path, _grey(np.full(stored, 50)))

    pixels = _decode(path, image_settings(fit="pad", background=200, height=16, width=32))

    expected = np.full((16, 32), 200)
    expected[box] = 50
    np.testing.assert_array_equal(pixels[:, :, 0], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_wide_image_is_padded_above_and_below(channels: int, tmp_path: Path, image_settings: Settings) -> None:
    path = _save(tmp_path, Image.new("L", (32, 16), 50))

    pixels = _decode(path, image_settings(fit="pad", background=200, channels=channels))

    assert (pixels[4:12] == 50).all()
    assert (pixels[:4] == 200).all()
    assert (pixels[12:] == 200).all()


def test_a_line_is_padded_without_a_huge_canvas(tmp_path: Path, image_settings: Settings) -> None:
    pixels = _decode(_save(tmp_path, Image.new("L", (1, 60_000), 50)), image_settings(fit="pad"))

    assert (pixels[:, 7] == 50).all()
    assert pixels.sum() == 50 * 16


def test_shrinking_antialiases(tmp_path: Path, image_settings: Settings) -> None:
    checkerboard = np.indices((64, 64)).sum(axis=0) % 2 * 255

    pixels = _decode(_save(tmp_path, _grey(checkerboard)), image_settings())

    assert np.abs(pixels[2:-2, 2:-2] - 127.5).max() <= 2


def test_enlarging_does_not_ring(tmp_path: Path, image_settings: Settings) -> None:
    edge = np.repeat([[64, 192]], 4, axis=1).repeat(8, axis=0)

    pixels = _decode(_save(tmp_path, _grey(edge)), image_settings(height=32, width=32))

    assert pixels.min() == 64
    assert pixels.max() == 192


def test_an_animation_gives_its_first_frame(tmp_path: Path, image_settings: Settings) -> None:
    frames = [Image.new("RGB", (16, 16), (level, level, level)) for level in (10, 200)]
    path = _save(tmp_path, frames[0], "webp", save_all=True, append_images=frames[1:], lossless=True)

    assert (_decode(path, image_settings()) == 10).all()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, kind: int, before: bytes, data: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _png_of_size(width: int, height: int) -> bytes:
    return _png(width, height, 0, b"", zlib.compress(b""))


def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path, image_settings: Settings) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_of_size(50_000, 50_000))

    with pytest.raises(UnreadableItem, match=r"^50000 × 50000 pixels, more than max_image_megapixels allows$"):
        _decode(path, image_settings())


def test_the_configured_limit_replaces_pillows_own(tmp_path: Path, image_settings: Settings) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(_png_of_size(200_000, 1000))  # 200 megapixels: Pillow alone would raise

    with pytest.raises(UnreadableItem, match="truncated"):
        _decode(path, image_settings(max_image_megapixels=201))


def test_too_long_a_side_is_refused_by_the_header(tmp_path: Path, image_settings: Settings) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(_png_of_size(90_000_000, 1))

    with pytest.raises(UnreadableItem, match=r"^90000000 × 1 pixels, of which a side has more than 1048576$"):
        _decode(path, image_settings(fit="pad"))


def test_a_file_whose_conversion_fails_is_unreadable(tmp_path: Path, image_settings: Settings) -> None:
    palette = _chunk(b"PLTE", b"\1\2\3") + _chunk(b"tRNS", bytes(300))
    (tmp_path / "palette.png").write_bytes(_png(16, 16, 3, palette, zlib.compress((b"\0" + b"\xff" * 16) * 16)))

    with pytest.raises(UnreadableItem):
        _decode(tmp_path / "palette.png", image_settings())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path, image_settings: Settings) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64))
    path = _save(tmp_path, _grey(noise), suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(UnreadableItem):
        _decode(path, image_settings())


def test_the_content_determines_the_format_not_the_name(tmp_path: Path, image_settings: Settings) -> None:
    _grey(_RAMP).save(tmp_path / "png.jpg", "PNG")
    assert np.array_equal(_decode(tmp_path / "png.jpg", image_settings())[..., 0], _RAMP)

    _grey(_RAMP).save(tmp_path / "gif.png", "GIF")
    with pytest.raises(UnreadableItem, match=r"^not a PNG, JPEG or WebP image$"):
        _decode(tmp_path / "gif.png", image_settings())


def _encoded(suffix: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    _grey(_RAMP).convert("RGBA" if suffix == "PNG" else "RGB").save(buffer, suffix, exif=exif)
    return buffer.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_a_damaged_file_gives_an_image_or_a_reason(
    data: st.DataObject, suffix: str, tmp_path: Path, image_settings: Settings
) -> None:
    content = bytearray(_encoded(suffix))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "image").write_bytes(content)

    try:
        outcome = _decode(tmp_path / "image", image_settings()).shape
    except UnreadableItem as error:
        outcome = str(error)

    assert outcome == (16, 16, 1) or (0 < len(outcome) <= 200 and str(tmp_path) not in outcome)

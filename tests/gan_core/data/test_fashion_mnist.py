import functools
import gzip
import hashlib
import http.server
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_servers import QuietHandler, serving

from gan_core.data import fashion_mnist
from gan_core.errors import InvalidInput, TryAgain

_COUNTS = {"train": 3, "t10k": 2}


def _write_part(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    for name, values in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
        header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        (folder / name).write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of a data set of five images, whose digests replace the expected ones."""
    folder = tmp_path / "published"
    folder.mkdir()
    generator = np.random.default_rng(0)
    digests = {}
    for part, count in _COUNTS.items():
        images = generator.integers(0, 256, (count, 28, 28), np.uint8)
        labels = generator.integers(0, 10, count, np.uint8)
        _write_part(folder, part, images, labels)
        digests[part] = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    monkeypatch.setattr(fashion_mnist, "_COUNTS", _COUNTS)
    monkeypatch.setattr(fashion_mnist, "_SHA256", digests)
    return folder


class _Files(QuietHandler, http.server.SimpleHTTPRequestHandler):
    """Serves a folder."""


@pytest.fixture
def address(published: Path) -> Iterator[str]:
    handler = functools.partial(_Files, directory=published)
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_the_embedded_images_are_the_test_split() -> None:
    images, labels = fashion_mnist.embedded()

    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert fashion_mnist.CLASSES[labels[0]] == "Ankle boot"


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_debians_package_contains_both_splits() -> None:
    images, labels = fashion_mnist.both_splits()

    assert images.shape == (70_000, 28, 28)
    assert np.bincount(labels).tolist() == [7000] * 10
    assert np.array_equal(images[60_000:], fashion_mnist.embedded()[0])


def test_the_data_is_downloaded_once(published: Path, address: str, tmp_path: Path) -> None:
    images, labels = fashion_mnist.both_splits(tmp_path / "none", address, tmp_path / "cache")
    again, _ = fashion_mnist.both_splits(tmp_path / "none", "http://127.0.0.1:9", tmp_path / "cache")
    installed, _ = fashion_mnist.both_splits(published, "http://127.0.0.1:9", tmp_path / "none")

    assert images.shape == (5, 28, 28)
    assert labels.shape == (5,)
    assert np.array_equal(images, again)
    assert np.array_equal(images, installed)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fashion-mnist"]


@pytest.mark.parametrize("damage", ["other pixels", "half a file", "not gzip", "missing"])
def test_a_damaged_download_is_not_kept(damage: str, published: Path, address: str, tmp_path: Path) -> None:
    path = published / "train-images-idx3-ubyte.gz"
    if damage == "other pixels":
        _write_part(published, "train", np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8))
    elif damage == "half a file":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "not gzip":
        path.write_bytes(b"<html>Sign in</html>")
    else:
        path.unlink()

    with pytest.raises(TryAgain, match=r"dataset-fashion-mnist.*Received: http"):
        fashion_mnist.both_splits(tmp_path / "none", address, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_error_for_an_unreachable_address_names_two_remedies(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match=r"Install Debian's package dataset-fashion-mnist, or allow access"):
        fashion_mnist.both_splits(tmp_path / "none", "http://127.0.0.1:9", tmp_path / "cache")


@pytest.mark.parametrize("shape", [(4, 28, 28), (3, 28, 27), (2**31, 28, 28)])
def test_a_false_header_is_refused(shape: tuple[int, ...], published: Path) -> None:
    header = struct.pack(">4B3I", 0, 0, 8, 3, *shape)
    (published / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(3 * 28 * 28)))

    with pytest.raises(InvalidInput, match=r"train-images-idx3-ubyte\.gz is not an idx file of shape"):
        fashion_mnist.both_splits(published)

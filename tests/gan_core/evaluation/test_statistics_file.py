"""Tests that statistics files are read, but not if they come from another extractor or resize mode or are invalid."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.statistics_file import COUNT_UNKNOWN, read_statistics, write_statistics

MEAN, COVARIANCE = np.arange(3.0), np.eye(3)


class Extractor:
    name, digest, size, resize, accuracy = "inception", "sha256-1", 3, "clean", None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **{"mu": MEAN, "sigma": COVARIANCE, **arrays})
    return path


def test_written_statistics_are_read_back(tmp_path: Path) -> None:
    write_statistics(tmp_path / "s.npz", FeatureSet(7, MEAN, COVARIANCE, np.empty((0, 3), np.float32)), Extractor())
    found = read_statistics(tmp_path / "s.npz", Extractor())
    assert found.count == 7
    assert np.array_equal(found.mean, MEAN)
    assert np.array_equal(found.covariance, COVARIANCE)
    assert found.features.shape == (0, 3)


def test_the_arrays_of_pytorch_fid_and_clean_fid_suffice(tmp_path: Path) -> None:
    found = read_statistics(write(tmp_path / "cifar10_clean_train_32.npz"), Extractor())
    assert found.count == COUNT_UNKNOWN
    assert np.array_equal(found.mean, MEAN)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("s.npz", {"extractor": "sha256-2"}, "must come from the extractor inception"),
        ("s.npz", {"resize": "legacy_tensorflow"}, "resized in the same way"),
        ("cifar10_legacy_pytorch_train_32.npz", {}, "resized in the same way"),
        ("s.npz", {"mu": np.zeros(4), "sigma": np.eye(4)}, "must have the sizes of the extractor inception"),
        ("s.npz", {"sigma": np.eye(4)}, "must have the sizes of the extractor inception"),
        ("s.npz", {"mu": np.array([0, np.nan, 0])}, "finite"),
        ("s.npz", {"sigma": np.triu(np.ones((3, 3)))}, "symmetric"),
        ("s.npz", {"mu": np.array([object(), 1, 2])}, "arrays mu and sigma"),
        ("s.npz", {"mu": np.array(["a", "b", "c"])}, "arrays mu and sigma"),
        ("s.npz", {"mu": np.array(["1", "2", "3"])}, "not an array of real numbers"),
        ("s.npz", {"mu": np.array([1j, 2, 3])}, "not an array of real numbers"),
        ("s.npz", {"sigma": -np.eye(3)}, "without negative eigenvalues"),
        ("s.npz", {"sigma": np.ones((3, 3)) - np.eye(3)}, "without negative eigenvalues"),
        ("s.npz", {"sigma": -1e308 * np.eye(3)}, "without negative eigenvalues"),
        ("s.npz", {"count": np.array(-5)}, "its count is -5"),
    ],
)
def test_incompatible_statistics_are_refused(
    tmp_path: Path, name: str, arrays: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_statistics(write(tmp_path / name, **arrays), Extractor())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="arrays mu and sigma"):
        read_statistics(tmp_path / "none.npz", Extractor())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(InvalidInput, match="arrays mu and sigma"):
        read_statistics(tmp_path / "s.npz", Extractor())


def test_a_missing_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", feats=np.ones((5, 3)))
    with pytest.raises(InvalidInput, match="mu"):
        read_statistics(tmp_path / "s.npz", Extractor())


def test_a_compressed_bomb_is_not_opened(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "s.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("mu.npy", "w") as member,
    ):
        for _ in range(640):
            member.write(bytes(2**20))
    assert (tmp_path / "s.npz").stat().st_size < 2**20
    with pytest.raises(InvalidInput, match="must have at most"):
        read_statistics(tmp_path / "s.npz", Extractor())


def test_a_header_with_a_huge_shape_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("mu.npy", header.getvalue())
        archive.writestr("sigma.npy", header.getvalue())
    with pytest.raises(InvalidInput, match="arrays mu and sigma"):
        read_statistics(tmp_path / "s.npz", Extractor())


def test_a_damaged_byte_in_a_compressed_file_is_detected(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "s.npz", mu=np.random.default_rng(0).random(128), sigma=np.eye(3))
    content = (tmp_path / "s.npz").read_bytes()
    place = content.find(b"mu.npy") + 26
    (tmp_path / "s.npz").write_bytes(content[:place] + b"\7" + content[place + 1 :])
    with pytest.raises(InvalidInput, match="arrays mu and sigma"):
        read_statistics(tmp_path / "s.npz", Extractor())


@pytest.mark.parametrize("count", [np.inf, np.nan, np.array([1, 2]), "many"])
def test_an_invalid_count_is_refused(tmp_path: Path, count: object) -> None:
    np.savez(tmp_path / "s.npz", mu=np.zeros(3), sigma=np.eye(3), count=count)
    with pytest.raises(InvalidInput, match="arrays mu and sigma"):
        read_statistics(tmp_path / "s.npz", Extractor())

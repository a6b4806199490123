"""Tests that statistics cover all images and that only the first features are kept, in any batches."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors import features
from gan_core.evaluation.extractors.features import extract, extract_cached

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 2, 2, 1), np.uint8)


class Pixels:
    """The pixels themselves as features."""

    name, digest, size, resize, accuracy = "pixels", "sha256-1", 4, "none", None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32)


def split(*at: int) -> list[np.ndarray]:
    return np.split(IMAGES, at)


def test_statistics_of_all_images() -> None:
    rows = IMAGES.reshape(50, 4)
    found = extract(Pixels(), split(20, 21))
    assert found.count == 50
    assert found.mean == pytest.approx(rows.mean(axis=0), rel=1e-12)
    assert found.covariance == pytest.approx(np.cov(rows, rowvar=False), rel=1e-12)
    assert np.array_equal(found.features, rows)


def test_the_first_features_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "FEATURES_KEPT", 25)
    found = extract(Pixels(), split(20, 40))
    assert np.array_equal(found.features, IMAGES.reshape(50, 4)[:25])
    assert found.mean == pytest.approx(IMAGES.reshape(50, 4).mean(axis=0))


def test_memory_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "FEATURES_KEPT", 50)

    def peak(batches: int) -> int:
        tracemalloc.start()
        extract(Pixels(), (IMAGES.copy() for _ in range(batches)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(4)  # memory that Python allocates only the first time
    assert peak(2000) < peak(20) + 20_000


def test_progress_counts_images() -> None:
    counted: list[int] = []
    extract(Pixels(), split(20, 40), counted.append)
    assert counted == [20, 20, 10]


@pytest.mark.parametrize("count", [0, 1])
def test_a_covariance_needs_two_images(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"at least two examples. Received: {count}"):
        extract(Pixels(), [IMAGES[:count]] if count else [])


def test_features_that_are_not_finite_are_refused() -> None:
    class Broken(Pixels):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            return np.where(images.reshape(len(images), -1) > 200, np.nan, 1.0).astype(np.float32)

    with pytest.raises(InvalidInput, match="finite"):
        extract(Broken(), split(20))


def test_cached_by_content_extractor_and_resize(tmp_path: Path) -> None:
    def found(content: str = "a", digest: str = "sha256-1", resize: str = "none", count: int = 50) -> int:
        extractor = Pixels()
        extractor.digest, extractor.resize = digest, resize
        return extract_cached(extractor, [IMAGES[:count]], {"digest": content}, tmp_path).count

    assert found() == 50
    assert found(count=10) == 50
    assert found(content="b", count=11) == 11
    assert found(digest="sha256-2", count=12) == 12
    assert found(resize="clean", count=13) == 13

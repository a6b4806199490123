"""Tests the extractor of texts: its matrix is fixed, and distances grow as texts are degraded."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.evaluation.extractors.features import extract
from gan_core.evaluation.extractors.ngram import FEATURES, NgramExtractor, bucket
from gan_core.evaluation.metrics.frechet import frechet_distance


@pytest.fixture(scope="module")
def extractor() -> NgramExtractor:
    return NgramExtractor()


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    """2,000 texts of pairs of symbols, with a 0 after the last one."""
    random = np.random.default_rng(0)
    pairs = random.integers(0, 4, (2000, 4))
    codes = np.stack([1 + pairs, 5 + pairs], axis=2).reshape(2000, 8, 1, 1)
    return np.where(np.arange(8)[:, None, None] < 2 * random.integers(1, 5, (2000, 1, 1, 1)), codes, 0).astype(np.uint8)


def test_the_matrix_of_this_version_is_unchanged(extractor: NgramExtractor) -> None:
    """A change of the matrix or of numpy's generator changes the digest, because scores are then not comparable."""
    assert extractor.digest == "sha256-296c4192bf3f5008aff92e0794ce0062f9e51ce41beea23be44c201e6fdcc39e"
    assert (extractor.name, extractor.size, extractor.resize, extractor.accuracy) == ("ngram", 128, "none", None)


def test_features_are_the_sum_of_the_rows_of_the_ngrams(extractor: NgramExtractor) -> None:
    marked = [0, 3, 1, 3, 0]  # the text 3 1 3 between its marks
    expected = np.zeros(FEATURES)
    for length in range(1, 5):
        for end in range(2, len(marked) + 1):
            if end >= length:
                packed = int.from_bytes(bytes(marked[end - length : end]), "big")
                expected += extractor._matrix[bucket(np.array([packed], np.uint64), length)[0]]
    found = extractor(np.array([3, 1, 3, 0, 7, 7], np.uint8).reshape(1, 6, 1, 1))  # nothing after the end counts
    assert (found.shape, found.dtype) == ((1, FEATURES), np.float32)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)


def test_different_ngrams_seldom_share_a_row() -> None:
    rows = bucket(np.arange(1, 27, dtype=np.uint64), 1)
    assert len(np.unique(rows)) == 26
    pairs = (np.arange(1, 27)[:, None] * 256 + np.arange(1, 27)).ravel().astype(np.uint64)
    assert len(np.unique(bucket(pairs, 2))) > 620  # of 676; random hashing gives 662
    assert not set(bucket(np.array([1], np.uint64), 1)) & set(bucket(np.array([1], np.uint64), 2))


def test_the_batch_has_no_effect(extractor: NgramExtractor, texts: np.ndarray) -> None:
    np.testing.assert_array_equal(extractor(texts[3:4]), extractor(texts[:9])[3:4])


def test_the_distance_grows_with_noise_with_disorder_and_with_missing_variety(
    extractor: NgramExtractor, texts: np.ndarray
) -> None:
    def distance(changed: np.ndarray) -> float:
        sides = extract(extractor, [texts[:1000]]), extract(extractor, [changed])
        return frechet_distance(*(part for side in sides for part in (side.mean, side.covariance)))

    random = np.random.default_rng(1)
    real = texts[1000:]
    noisy = np.where((random.random(real.shape) < 0.2) & (real > 0), random.integers(1, 9, real.shape), real)
    very_noisy = np.where((random.random(real.shape) < 0.8) & (real > 0), random.integers(1, 9, real.shape), real)
    found = [distance(one.astype(np.uint8)) for one in (real, noisy, very_noisy, real[:, ::-1])]
    assert 5 * found[0] < found[1] < found[2]
    assert found[3] > 5 * found[0]
    assert distance(np.repeat(real[:10], 100, axis=0)) > 5 * found[0]

"""Tests the scores of conditional generation against values computed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from gan_core.evaluation.condition_match import class_agreement, target_scores
from gan_core.evaluation.extractors.features import FeatureSet


class Few:
    """A set of images."""

    def __init__(self, images: np.ndarray) -> None:
        self.count, self._images = len(images), images

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        for start in range(0, self.count, batch_size):
            yield self._images[start : start + batch_size]

    def images(self, positions: np.ndarray) -> np.ndarray:
        return self._images[positions]


class Extractor:
    """Predicts one of two classes from the sign of the only feature."""

    name, digest, size, resize, accuracy = "classifier", "sha256-1", 1, "none", 0.9

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[(features[:, 0] > 0).astype(int)]


class Thousand(Extractor):
    name, accuracy = "inception", None


def features(*values: float) -> FeatureSet:
    rows = np.array(values, np.float32)[:, None]
    return FeatureSet(len(rows), rows.mean(axis=0), np.cov(rows, rowvar=False).reshape(1, 1), rows)


def compared(generated: np.ndarray, targets: np.ndarray, batch_size: int = 2) -> dict[str, float]:
    return target_scores(Few(generated), Few(targets), batch_size, lambda _: None)


def noise(seed: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_class_agreement_is_the_share_of_images_in_the_requested_class() -> None:
    shown = features(-1, 1, 1, -1)
    assert class_agreement(Extractor(), shown, np.array([0, 1, 0, 0])) == {"class_agreement": 0.75}
    # Features may be kept for the first images only.
    assert class_agreement(Extractor(), shown, np.array([0, 1, 1, 0, 1, 1])) == {"class_agreement": 1.0}
    assert class_agreement(Extractor(), shown, None) == {}
    assert class_agreement(Thousand(), shown, np.array([0, 1, 0, 0])) == {}


def test_identical_images_have_the_best_scores() -> None:
    images = noise(0)
    scores = compared(images, images.copy())
    assert scores["target_l1"] == 0
    assert scores["target_psnr"] == pytest.approx(10 * math.log10(255**2 * 12))
    assert scores["target_ssim"] == pytest.approx(1)


def test_a_shift_by_a_few_grey_levels_has_the_closed_form() -> None:
    images = np.full((3, 16, 16, 1), 100, np.uint8)
    moved = images.copy()
    moved[0] += 10
    moved[1, :8] -= 20
    scores = compared(moved, images)
    assert scores["target_l1"] == pytest.approx((10 + 20 / 2 + 0) / 3)
    ratios = [10 * math.log10(255**2 / square) for square in (100, 200, 1 / 12)]
    assert scores["target_psnr"] == pytest.approx(np.mean(ratios))


def test_the_structural_similarity_of_constant_images() -> None:
    # Without any variance only the first factor is left: (2 μν + C₁) / (μ² + ν² + C₁), C₁ = (0.01 · 255)².
    one, other = np.full((1, 16, 16, 1), 100, np.uint8), np.full((1, 16, 16, 1), 150, np.uint8)
    constant = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + constant) / (100**2 + 150**2 + constant)
    assert compared(one, other)["target_ssim"] == pytest.approx(expected, rel=1e-4)


def test_the_scores_depend_on_the_order_but_not_on_the_batch_size() -> None:
    ours, theirs = noise(0), noise(1)
    expected = compared(ours, theirs, 5)
    assert compared(ours, theirs, 2) == pytest.approx(expected, rel=1e-6)
    assert compared(theirs[::-1], theirs)["target_l1"] > 50
    assert expected["target_ssim"] < 0.2

"""Tests scores whose value is known, and their names."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.score_meanings import MEANINGS, decimals, score_name, shown
from gan_core.evaluation.scores import score

ALL = ("fid", "kid", "prdc", "memorisation")


class Extractor:
    name, digest, size, resize, accuracy = "classifier", "sha256-1", 4, "none", 0.9

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class 0 where the first feature is negative."""
        sure = (features[:, 0] < 0).astype(np.float32)
        return np.stack([sure, 1 - sure], axis=1)


class Classless:
    name, digest, size, resize, accuracy = "inception", "sha256-1", 4, "clean", None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def of(features: np.ndarray) -> FeatureSet:
    features = features.astype(np.float32)
    return FeatureSet(len(features), features.mean(axis=0, dtype=np.float64), np.cov(features, rowvar=False), features)


def normal(count: int, seed: int, scale: float = 1.0) -> FeatureSet:
    return of(scale * np.random.default_rng(seed).standard_normal((count, 4)))


def scored(real: FeatureSet, generated: FeatureSet, training: FeatureSet | None = None, **changes: object) -> dict:
    settings = {"metrics": ALL, "kid_subsets": 3, "kid_subset_size": 100, "seed": 0, **changes}
    return score(real, generated, training, Extractor(), **settings)


def test_equal_distributions_have_the_expected_scores() -> None:
    scores = scored(normal(1500, 0), normal(1500, 1), normal(1500, 2))
    assert set(scores) == {name for name in MEANINGS if name != "class_agreement" and "target" not in name}
    assert scores["fd"] == pytest.approx(0, abs=0.05)
    assert abs(scores["fd_infinity"]) < abs(scores["fd"])
    assert scores["kid"] == pytest.approx(0, abs=0.1)
    assert scores["density"] == pytest.approx(1, abs=0.1)
    assert scores["coverage"] == pytest.approx(1 - 0.5**5, abs=0.03)  # Naeem et al. 2020, equation 11
    assert scores["diversity"] == pytest.approx(1, abs=0.05)
    assert scores["class_shift"] == pytest.approx(0, abs=0.05)
    assert scores["inception_score"] == pytest.approx(2, abs=0.05)
    assert scores["train_preference"] == pytest.approx(0.5, abs=0.05)
    assert scores["train_gap"] == pytest.approx(0, abs=0.02)


def test_half_the_scale_halves_the_diversity() -> None:
    assert scored(normal(1500, 0), normal(1500, 1, 0.5))["diversity"] == pytest.approx(0.5, abs=0.03)


def test_copies_of_training_images_are_detected() -> None:
    training = normal(300, 2)
    scores = scored(normal(300, 0), of(training.features + 1e-3), training)
    assert scores["authenticity"] == 0
    assert scores["train_preference"] == pytest.approx(1, abs=0.01)
    assert scores["train_gap"] == pytest.approx(scores["fd"], rel=0.01)


def test_a_tie_between_training_and_unseen_images_counts_half() -> None:
    images = normal(300, 0)
    assert scored(images, normal(300, 1), images)["train_preference"] == 0.5


def test_missing_classes_raise_the_class_shift() -> None:
    real = normal(2000, 0)
    generated = of(np.abs(normal(2000, 1).features))
    assert scored(real, generated)["class_shift"] == pytest.approx(0.5, abs=0.03)


def test_the_training_gap_compares_equally_many_images() -> None:
    # The distance to 4,000 training images is less biased than that to 100 unseen ones: by about 0.1 here.
    gaps = [
        scored(normal(100, seed), normal(1000, 50 + seed), normal(4000, 90 + seed))["train_gap"] for seed in range(30)
    ]
    assert np.mean(gaps) == pytest.approx(0, abs=0.04)
    moved, training = of(normal(1000, 1).features + 3), of(normal(4000, 2).features + 1)
    assert scored(normal(1000, 0), moved, training)["train_gap"] == pytest.approx(4 * (3**2 - 2**2), rel=0.1)


def test_only_the_requested_metrics_are_computed() -> None:
    real, generated = normal(300, 0), normal(300, 1)
    found = score(real, generated, None, Classless(), metrics=("kid",), kid_subsets=2, kid_subset_size=9, seed=0)
    assert list(found) == ["kid"]
    found = score(real, generated, None, Classless(), metrics=("prdc",), kid_subsets=2, kid_subset_size=9, seed=0)
    assert list(found) == ["precision", "recall", "density", "coverage"]


def test_statistics_suffice_for_the_distances_and_the_diversity() -> None:
    real = normal(300, 0)
    known = FeatureSet(0, real.mean, real.covariance, real.features[:0])
    scores = scored(known, normal(300, 1))
    assert list(scores) == ["fd", "fd_infinity", "diversity"]
    assert scores["fd"] == scored(real, normal(300, 1))["fd"]


def test_identical_images_have_finite_scores() -> None:
    alike = of(np.ones((300, 4)))
    scores = scored(alike, alike)
    assert scores["fd"] == 0
    assert "diversity" not in scores
    assert all(np.isfinite(value) for value in scores.values())
    assert scored(normal(300, 0), alike)["diversity"] == 0


def test_scores_are_finite_for_fewer_images_than_dimensions() -> None:
    generator = np.random.default_rng(0)
    real, generated = (of(generator.standard_normal((10, 64))) for _ in range(2))
    scores = scored(real, generated, kid_subset_size=10)
    assert all(np.isfinite(value) for value in scores.values())
    assert scores["fd"] > 0


def test_only_distances_of_published_features_have_names_of_their_own() -> None:
    assert score_name("fd", "inception") == "fid"
    assert score_name("kid", "inception") == "kid_inception"
    assert score_name("fd_infinity", "vggish") == "fad_infinity"
    assert score_name("fd", "vggish_unverified") == "fd_vggish_unverified"
    assert all("fid" not in score_name(metric, "classifier") for metric in MEANINGS)


@pytest.mark.parametrize(
    ("value", "uncertainty", "digits"),
    [(12.34, 0.123, 2), (12.34, 1.23, 1), (1234, 123, 0), (0.5, None, 4), (0, 0, 2), (1e-9, 1e-9, 6), (99, None, 2)],
)
def test_decimals_show_two_digits_of_the_uncertainty(value: float, uncertainty: float | None, digits: int) -> None:
    assert decimals(value, uncertainty) == digits


def test_a_value_that_rounds_to_zero_has_no_sign() -> None:
    assert [shown(value, 6) for value in (-1e-9, 1e-9, -0.0, -2e-6)] == [
        "0.000000",
        "0.000000",
        "0.000000",
        "-0.000002",
    ]

"""Tests which class an image gets, and the scores of single classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset

from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation import classes
from gan_core.evaluation.classes import Classes, find_classes, score_classes
from gan_core.evaluation.extractors.features import FeatureSet
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.frechet import frechet_distance
from gan_core.evaluation.metrics.neighbours import precision_recall


class Extractor:
    """Predicts the class from the sign of the first feature."""

    name, digest, size, resize, accuracy = "classifier", "sha256-1", 3, "none", 0.9

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[(features[:, 0] > 0).astype(int)]


class Blind(Extractor):
    name, accuracy = "inception", None


def of(features: np.ndarray) -> FeatureSet:
    features = features.astype(np.float32)
    return FeatureSet(len(features), features.mean(axis=0, dtype=np.float64), np.cov(features, rowvar=False), features)


def sides(place: Path, labels: np.ndarray | None = None) -> tuple[ImagesWithFeatures, ImagesWithFeatures]:
    split = PreparedDataset(write_dataset(place, blobs(9, 16), blobs(60, 16), classes=2)).split("held_out")
    generator = np.random.default_rng(0)
    real, generated = of(generator.standard_normal((60, 3))), of(generator.standard_normal((50, 3)))
    return ImagesWithFeatures(split, real), ImagesWithFeatures(split, generated, labels)


def test_the_extractor_classifies_both_sides(tmp_path: Path) -> None:
    real, generated = sides(tmp_path / "data")
    found = find_classes(["a", "b"], Extractor(), real, generated)
    assert found.assigned_by == "extractor"
    assert np.array_equal(found.real, real.features.features[:, 0] > 0)
    assert np.array_equal(found.generated, generated.features.features[:, 0] > 0)


@pytest.mark.parametrize("extractor", [Extractor(), Blind()])
def test_labels_take_precedence_over_the_extractor(tmp_path: Path, extractor: Extractor) -> None:
    labels = np.arange(50) % 2
    found = find_classes(["a", "b"], extractor, *sides(tmp_path / "data", labels))
    assert found.assigned_by == "labels"
    assert np.array_equal(found.real, np.arange(60) % 2)
    assert np.array_equal(found.generated, labels)


def test_classes_may_be_unknown(tmp_path: Path) -> None:
    real, generated = sides(tmp_path / "data")
    assert find_classes(["a", "b"], Blind(), real, generated) is None
    assert find_classes(["a"], Extractor(), real, generated) is None
    known = ImagesWithFeatures(
        real.images, FeatureSet(60, real.features.mean, real.features.covariance, np.empty((0, 3)))
    )
    assert find_classes(["a", "b"], Extractor(), known, generated) is None


def test_class_scores_use_only_the_images_of_the_class() -> None:
    generator = np.random.default_rng(1)
    real, generated = of(generator.standard_normal((500, 3))), of(generator.standard_normal((400, 3)) + 1)
    found = Classes(("a", "b", "none"), "labels", np.arange(500) % 2, np.where(np.arange(400) < 100, 0, 1))
    first, second, none = score_classes(found, real, generated, Extractor())
    assert (first.name, first.real_share, first.generated_share) == ("a", 0.5, 0.25)
    assert (second.real_share, second.generated_share) == (0.5, 0.75)
    ones = real.features[1::2], generated.features[100:]
    gaussians = [part for rows in ones for part in (rows.mean(axis=0, dtype=np.float64), np.cov(rows, rowvar=False))]
    assert second.scores["fd_classifier"] == pytest.approx(frechet_distance(*gaussians), rel=1e-5)
    assert (second.scores["precision_classifier"], second.scores["recall_classifier"]) == precision_recall(*ones)
    assert (none.real_share, none.generated_share, none.scores) == (0, 0, {})


def test_a_class_with_too_few_images_has_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of(np.random.default_rng(1).standard_normal((300, 3)))
    found = Classes(("a", "b"), "labels", (np.arange(300) >= 99).astype(int), np.arange(300) % 2)
    assert [bool(entry.scores) for entry in score_classes(found, rows, rows, Extractor())] == [False, True]
    monkeypatch.setattr(classes, "MOST_CLASSES", 1)
    assert len(score_classes(found, rows, rows, Extractor())) == 1

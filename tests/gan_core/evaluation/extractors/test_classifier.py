"""Tests the trained extractor: its accuracy, determinism, caching and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset

from gan_core.codecs.image import ImageCodec
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors import classifier
from gan_core.evaluation.extractors.classifier import ClassifierExtractor, train_classifier

SIDE = 16


@pytest.fixture(scope="module", autouse=True)
def _short_training() -> object:
    """Forty steps suffice for two kinds of images that differ in brightness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(classifier.RECIPE, "steps", 40)
        patch.setitem(classifier.RECIPE, "batch_size", 32)
        yield


def dataset(place: Path, classes: int = 2) -> PreparedDataset:
    """Images of which every second one is inverted and has label 1."""
    images = blobs(300, SIDE)
    images[1::2] = 255 - images[1::2]
    return PreparedDataset(write_dataset(place, images[:200], images[200:], classes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedDataset, Path, ClassifierExtractor]:
    place = tmp_path_factory.mktemp("classifier")
    data = dataset(place / "data")
    return data, place / "cache", train_classifier(data, place / "cache")


def test_the_classifier_learns_and_reports_its_accuracy(
    trained: tuple[PreparedDataset, Path, ClassifierExtractor],
) -> None:
    data, _, extractor = trained
    held_out = data.split("held_out")
    positions = np.arange(held_out.count)
    features = extractor(held_out.images(positions))
    probabilities = extractor.probabilities(features)
    assert features.shape == (100, extractor.size)
    assert features.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(100), abs=1e-5)
    assert extractor.accuracy == (probabilities.argmax(axis=1) == held_out.labels(positions)).mean()
    assert extractor.accuracy > 0.95


def test_features_have_unit_variance_on_average(trained: tuple[PreparedDataset, Path, ClassifierExtractor]) -> None:
    data, _, extractor = trained
    features = extractor(data.split("train").images(np.arange(200)))
    assert features.var(axis=0).mean() == pytest.approx(1, rel=1e-3)


def test_a_row_does_not_depend_on_its_batch(trained: tuple[PreparedDataset, Path, ClassifierExtractor]) -> None:
    data, _, extractor = trained
    images = data.split("train").images(np.arange(10))
    assert extractor(images)[3:4] == pytest.approx(extractor(images[3:4]), abs=1e-5)


def test_the_same_data_gives_the_same_bits(
    trained: tuple[PreparedDataset, Path, ClassifierExtractor], tmp_path: Path
) -> None:
    data, cache, extractor = trained
    again = train_classifier(data, tmp_path)
    assert again.digest == extractor.digest
    ((kept,), (kept_again,)) = (sorted(folder.iterdir()) for folder in (cache, tmp_path))
    assert kept.name == kept_again.name
    assert kept.read_bytes() == kept_again.read_bytes()


def test_a_cached_classifier_is_not_trained_again(trained: tuple[PreparedDataset, Path, ClassifierExtractor]) -> None:
    data, cache, extractor = trained
    counted: list[int] = []
    again = train_classifier(data, cache, counted.append)
    assert not counted
    images = data.split("train").images(np.arange(10))
    assert np.array_equal(again(images), extractor(images))


def test_other_data_or_another_recipe_changes_the_digest(
    trained: tuple[PreparedDataset, Path, ClassifierExtractor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, extractor = trained
    monkeypatch.setitem(classifier.RECIPE, "steps", 1)
    assert train_classifier(dataset(tmp_path / "same"), tmp_path / "cache").digest != extractor.digest
    fewer = write_dataset(tmp_path / "fewer", blobs(60, SIDE, 3), blobs(20, SIDE, 3), 2)
    monkeypatch.setitem(classifier.RECIPE, "steps", 40)
    assert train_classifier(PreparedDataset(fewer), tmp_path / "cache").digest != extractor.digest


def test_images_of_another_shape_are_refused(trained: tuple[PreparedDataset, Path, ClassifierExtractor]) -> None:
    with pytest.raises(InvalidInput, match=r"\(16, 16, 1\)"):
        trained[2](np.zeros((1, 16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    ("shape", "widths"),
    [((16, 16, 1), [64]), ((28, 28, 1), [32, 64]), ((32, 32, 3), [32, 64]), ((256, 256, 3), [16, 16, 16, 32, 64])],
)
def test_the_architecture_of_this_version_is_unchanged(shape: tuple[int, int, int], widths: list[int]) -> None:
    """A change of the architecture requires a new RECIPE version, because scores are then not comparable."""
    assert classifier.RECIPE["version"] == 1
    model = classifier._build(ImageCodec(shape=shape), 10)
    assert [weight.shape[-1] for weight in model.weights[::2]] == [*widths, 64, 10]
    assert [weight.shape[:2] for weight in model.weights[: 2 * len(widths) : 2]] == [(3, 3)] * len(widths)


def test_each_epoch_shows_every_image_once() -> None:
    shown = np.concatenate([classifier._positions(10, step, 4) for step in range(5)])
    assert np.array_equal(np.sort(shown[:10]), np.arange(10))
    assert np.array_equal(np.sort(shown[10:]), np.arange(10))
    assert not np.array_equal(shown[:10], shown[10:])

"""Tests the selection of the most realistic images. Some are blank, some are copies, some are of another class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from datasets import write_dataset
from numpy.typing import NDArray

from gan_core.data import fashion_mnist
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.classes import Classes, find_classes
from gan_core.evaluation.extractors.classifier import train_classifier
from gan_core.evaluation.extractors.features import Extractor, extract
from gan_core.evaluation.extractors.random_network import RandomExtractor
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import realism
from gan_core.evaluation.report.gallery import most_and_least_realistic
from gan_core.evaluation.report.most_realistic import most_realistic
from gan_core.evaluation.report.pictures import Pictures

COUNT = 600
SHARE = COUNT // 20
SHOWN = 8


@dataclass(frozen=True)
class Planted:
    """A prepared data set whose train split stands for the generated images, and the indices that must not be shown."""

    dataset: PreparedDataset
    bad: frozenset[int]


class AsArray:
    """Images in memory."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images
        self.count = len(images)

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._images[indices]


def with_bad_images(images: NDArray[np.uint8], generator: np.random.Generator) -> tuple[NDArray[np.uint8], list[int]]:
    """Makes 5 % of the images black, 5 % copies of the next image, and 5 % images of another class than their label."""
    images = images.copy()
    black, copied, moved = np.split(generator.permutation(COUNT // 2)[: 3 * SHARE] * 2, 3)
    images[black] = generator.integers(0, 4, (SHARE, 28, 28, 1))
    images[black[: SHARE // 2]] = 0
    images[copied] = images[copied + 1]
    images[moved] = images[(moved + 3) % COUNT]
    return images, [*black, *copied, *(copied + 1), *moved]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    images, labels = fashion_mnist.embedded()
    of_class = [images[labels == label][: COUNT // 5, :, :, None] for label in range(10)]
    mixed = np.stack(of_class, axis=1).reshape(-1, 28, 28, 1)  # image i is of class i % 10
    generator = np.random.default_rng(0)
    generated, bad = with_bad_images(mixed[:COUNT], generator)
    real, _ = with_bad_images(mixed[COUNT : 2 * COUNT], generator)
    real[5:35:10] = generated[5:35:10]  # three generated images are copies of real ones
    write_dataset(tmp_path_factory.mktemp("planted") / "data", generated, real, classes=10)
    place = next(tmp_path_factory.getbasetemp().glob("planted*/data"))
    return Planted(PreparedDataset(place), frozenset([*bad, 5, 15, 25]))


@pytest.fixture(scope="module", params=["random", "classifier"])
def extractor(request: pytest.FixtureRequest, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    if request.param == "random":
        return RandomExtractor()
    return train_classifier(planted.dataset, tmp_path_factory.mktemp("cache"))


def sides(planted: Planted, extractor: Extractor) -> tuple[ImagesWithFeatures, ImagesWithFeatures, Classes]:
    held_out, train = planted.dataset.split("held_out"), planted.dataset.split("train")
    real = ImagesWithFeatures(held_out, extract(extractor, held_out.batches(256)))
    labels = train.labels(np.arange(train.count))
    generated = ImagesWithFeatures(train, extract(extractor, train.batches(256)), labels)
    found = find_classes([str(label) for label in range(10)], extractor, real, generated)
    assert found is not None
    assert found.assigned_by == "labels"
    return real, generated, found


def test_the_most_realistic_images_exclude_blanks_copies_and_other_classes(
    planted: Planted, extractor: Extractor
) -> None:
    real, generated, found = sides(planted, extractor)
    scores = realism(real.features.features, generated.features.features)
    assert planted.bad & set(np.argsort(-scores)[:SHOWN].tolist())  # realism alone would select some of them
    chosen = most_realistic(real, generated, found, scores, SHOWN)
    assert len(chosen) == SHOWN
    assert not planted.bad & set(chosen.tolist())
    best, worst = most_and_least_realistic(real, generated, found, Pictures(generated.images, None, "image"))
    assert len(best) == len(worst) == SHOWN
    assert float(best[0].caption) > float(worst[0].caption)


def test_without_labels_blanks_and_copies_are_excluded(planted: Planted) -> None:
    real, generated, found = sides(planted, RandomExtractor())
    scores = realism(real.features.features, generated.features.features)
    chosen = most_realistic(real, generated, None, scores, SHOWN)
    images = generated.images.images(chosen)
    assert len(chosen) == SHOWN
    assert min(image.std() for image in images) > 10
    assert len({image.tobytes() for image in images}) == SHOWN
    assert found.assigned_by == "labels"


def test_if_all_images_are_blank_none_is_shown(planted: Planted) -> None:
    real, generated, _ = sides(planted, RandomExtractor())
    black = ImagesWithFeatures(AsArray(np.zeros((COUNT, 28, 28, 1), np.uint8)), generated.features)
    assert most_realistic(real, black, None, np.ones(COUNT), SHOWN).shape == (0,)
    assert most_and_least_realistic(real, black, None, Pictures(black.images, None, "image"))[0] == []

"""Sets of images that are extracted in parts have the features of one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluate_runs import SETTINGS, write_generator
from generators import generator_metadata
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan_core.config import EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation import parts
from gan_core.evaluation.cache import Arrays
from gan_core.evaluation.extractors import features
from gan_core.evaluation.extractors.build import build_extractor
from gan_core.evaluation.extractors.features import extract, extract_range
from gan_core.evaluation.image_files import FileImages
from gan_core.evaluation.images import GeneratedImages, Images
from gan_core.evaluation.parts import MOST_PARTS, Draw, Part, extract_part, extract_sets
from gan_core.evaluation.real_and_generated import Sides, open_sides
from gan_core.export import load_generator
from gan_core.generator import Generator

COUNT = 23


class Pixels:
    """The pixels themselves as features."""

    name, digest, size, resize, accuracy = "pixels", "sha256-1", 4, "none", None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32)


class Noise:
    """Random images in memory."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._images = np.random.default_rng(count).integers(0, 256, (count, 2, 2, 1), np.uint8)

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        chosen = self._images[start:stop]
        yield from (chosen[first : first + batch_size] for first in range(0, len(chosen), batch_size))

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self._images[indices]


def _config(**changes: object) -> EvaluateConfig:
    return EvaluateConfig.parse(SETTINGS | changes)


_SIDES = Sides(Path("real"), Path("generated"), None, None, None, None, None)


@given(
    counts=st.lists(st.integers(2, 60), min_size=1, max_size=3),
    batch_size=st.integers(1, 9),
    fewest=st.integers(1, 30),
    most=st.integers(1, 8),
    kept=st.integers(1, 70),
)
def test_parts_have_the_features_of_one_pass(
    counts: list[int], batch_size: int, fewest: int, most: int, kept: int
) -> None:
    config = _config(batch_size=batch_size)
    sets = {name: Noise(count) for name, count in zip(("real", "training", "generated"), counts, strict=False)}
    done: list[int] = []
    ran: list[Part] = []

    def run_parts(tasks: Sequence[Part]) -> Iterator[Arrays]:
        for part in tasks:
            ran.append(part)
            batches = sets[str(part.images)].batches(batch_size, part.start, part.stop)
            statistics, found = extract_range(Pixels(), batches, part.start)
            yield {**statistics.arrays, "features": found}

    places = [(images, name) for name, images in sets.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FEWEST_IMAGES", fewest)
        patch.setattr(parts, "MOST_PARTS", most)
        patch.setattr(features, "FEATURES_KEPT", kept)
        divided = list(extract_sets(config, _SIDES, Pixels(), places, done.append, run_parts=run_parts))
        alone = list(extract_sets(config, _SIDES, Pixels(), places, run_parts=None))

    for one, other in zip(divided, alone, strict=True):
        assert one.count == other.count
        assert one.mean == pytest.approx(other.mean, rel=1e-12)
        assert one.covariance == pytest.approx(other.covariance, rel=1e-9, abs=1e-9)
        assert np.array_equal(one.features, other.features)
    assert sum(done) == sum(counts)
    assert all(part.start % batch_size == 0 for part in ran)
    assert len(ran) <= most * len(sets)
    not_last = [part for part in ran if part.stop < sets[str(part.images)].count]
    assert all(part.stop - part.start >= fewest for part in not_last)


def test_a_million_images_are_few_parts() -> None:
    whole = Part("job", _config(), Path("real"), Path("generated"), "real", 0, 1_000_000)
    assert len(whole.divided()) <= MOST_PARTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set, a folder of images and two generators."""
    folder = tmp_path_factory.mktemp("parts")
    write_dataset(folder / "data", blobs(COUNT), blobs(COUNT, seed=1), classes=2)
    (folder / "images").mkdir()
    for number, image in enumerate(blobs(COUNT)):
        Image.fromarray(image[:, :, 0]).save(folder / "images" / f"{number}.png")
    write_generator(folder / "generator")
    return folder


def _split(folder: Path) -> Images:
    return PreparedDataset(folder / "data").split("train")


def _files(folder: Path) -> Images:
    return FileImages(folder / "images")


def _drawn(folder: Path) -> Images:
    return GeneratedImages(load_generator(folder / "generator"), COUNT, 3)


def _drawn_with_labels(_: Path) -> Images:
    """Images of a generator that shows its label."""
    latents, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    shade = keras.layers.Rescaling(0.5)(keras.layers.Reshape((1, 1, 1))(labels))
    noise = keras.layers.Reshape((1, 1, 2))(keras.layers.Rescaling(0.1)(latents))
    model = keras.Model([latents, labels], keras.layers.Concatenate()([shade, noise]))
    metadata = generator_metadata(latent_size=2, shape=(1, 1, 3), classes=("a", "b"), class_shares=(0.5, 0.5))
    return GeneratedImages(Generator(model, metadata), COUNT, 3)


@pytest.mark.parametrize("make", [_split, _files, _drawn, _drawn_with_labels])
def test_ranges_hold_the_batches_of_all_images(make: Callable[[Path], Images], folder: Path) -> None:
    images = make(folder)
    expected = list(images.batches(5))
    found = [*images.batches(5, 0, 10), *images.batches(5, 10, 15), *images.batches(5, 15, COUNT)]
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 3]
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_worker_opens_the_images_of_a_part(folder: Path) -> None:
    config = _config(extractor="random", metrics=["fid"], samples=COUNT, batch_size=5)
    sides = open_sides(folder / "data", folder / "generator", config)
    extractor = build_extractor(config, sides.dataset, folder / "cache")
    places = [(_split(folder), "training"), (_drawn(folder), Draw(folder / "generator", 3))]

    def run_parts(tasks: Sequence[Part]) -> Iterator[Arrays]:
        return (extract_part(folder / "cache", part) for part in tasks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FEWEST_IMAGES", 10)
        divided = list(extract_sets(config, sides, extractor, places, run_parts=run_parts))
    for one, (images, _) in zip(divided, places, strict=True):
        alone = extract(extractor, images.batches(5))
        assert np.array_equal(one.features, alone.features)
        assert one.covariance == pytest.approx(alone.covariance, rel=1e-9, abs=1e-12)

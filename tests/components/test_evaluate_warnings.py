"""Warnings of the evaluate command: copies, collapsed images, missing classes, images on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluate_runs import SIDE, Place
from PIL import Image


def test_copies_of_training_images_are_warned_of_whatever_is_scored_beside(place: Place) -> None:
    images = blobs(120, SIDE, seed=9)
    write_dataset(place.folder / "known", images[:80], 255 - images[80:])  # unseen ones are unlike, so the gap is wide
    copies = place.folder / "copies"
    copies.mkdir()
    for number, image in enumerate(images[:80]):
        Image.fromarray(image[:, :, 0]).save(copies / f"{number}.png")
    record = place.evaluate(
        "--real", place.known, "--generated", copies, "--metrics", "memorisation", extractor="random"
    )
    assert set(record.scores) == {"authenticity_random", "train_gap_random", "train_preference_random"}
    assert any("than that to equally many unseen images" in warning for warning in record.warnings)


def test_images_that_are_all_alike_and_have_a_singular_covariance(place: Place) -> None:
    alike = place.evaluate("--real", place.data, "--generated", place.alike)
    assert all(np.isfinite(list(alike.scores.values())))
    assert alike.scores["fd_classifier"] > 0
    assert alike.scores["diversity_classifier"] == pytest.approx(0, abs=1e-6)
    assert alike.scores["recall_classifier"] == 0
    assert any("may have collapsed" in sentence for sentence in alike.warnings)
    same = place.evaluate("--real", place.alike, "--generated", place.alike, extractor="random")
    assert same.scores["fd_random"] == pytest.approx(0, abs=1e-9)
    assert same.intervals["fd_random"].high == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("generated", ["images", "images.zip", "renamed", "some_of_them"])
def test_images_that_are_on_both_sides_are_told(place: Place, generated: str) -> None:
    """The same files, a copy in an archive, the pixels in another format under other names, and a part of them."""
    for number, path in enumerate(sorted(place.images.rglob("*.png"))):
        for folder in ("renamed", "some_of_them") if number < 40 else ("renamed",):
            (place.folder / folder).mkdir(exist_ok=True)
            Image.open(path).save(place.folder / folder / f"{1000 - number}.webp", lossless=True)
    settings = {"extractor": "random", "metrics": ["fid"]}
    statistics = place.folder / "images.npz"
    same = place.evaluate(
        "--real", place.images, "--generated", place.folder / generated, "--statistics", statistics, **settings
    )
    assert any("All of the generated images are also among the real" in sentence for sentence in same.warnings)
    by_statistics = place.evaluate("--real", statistics, "--generated", place.folder / generated, **settings)
    told = any("also among the real images" in sentence for sentence in by_statistics.warnings)
    assert told == (generated != "some_of_them")


def test_a_class_without_real_images_is_told(place: Place) -> None:
    write_dataset(place.folder / "one_sided", blobs(30, SIDE), blobs(8, SIDE, seed=1), classes=9)
    settings = {"extractor": "random", "metrics": ["fid"]}
    record = place.evaluate("--real", place.one_sided, "--generated", place.images, **settings)
    assert any("1 of 9 classes have no held-out image" in sentence for sentence in record.warnings)


def test_memorisation_without_training_images_is_told(place: Place) -> None:
    settings = {"extractor": "random", "metrics": ["fid", "memorisation"]}
    record = place.evaluate("--real", place.images, "--generated", place.alike, **settings)
    assert any("Memorisation was not measured" in sentence for sentence in record.warnings)
    settings["reference"] = "held_out"
    record = place.evaluate("--real", place.data, "--generated", place.alike, **settings)
    assert not any("Memorisation" in sentence for sentence in record.warnings)

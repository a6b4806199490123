"""Warnings of the evaluate command: copies, collapsed images, missing classes, images that are real and generated."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluate_runs import SIDE, Workspace
from PIL import Image


def test_copies_of_training_images_give_a_warning(workspace: Workspace) -> None:
    images = blobs(120, SIDE, seed=9)
    write_dataset(
        workspace.folder / "known", images[:80], 255 - images[80:]
    )  # unseen images look different, so the gap is wide
    copies = workspace.folder / "copies"
    copies.mkdir()
    for number, image in enumerate(images[:80]):
        Image.fromarray(image[:, :, 0]).save(copies / f"{number}.png")
    record = workspace.evaluate(
        "--real", workspace.known, "--generated", copies, "--metrics", "memorisation", extractor="random"
    )
    assert set(record.scores) == {"authenticity_random", "train_gap_random", "train_preference_random"}
    assert any("than that to equally many unseen images" in warning for warning in record.warnings)


def test_identical_images_have_finite_scores_and_give_a_warning(workspace: Workspace) -> None:
    alike = workspace.evaluate("--real", workspace.data, "--generated", workspace.alike)
    assert all(np.isfinite(list(alike.scores.values())))
    assert alike.scores["fd_classifier"] > 0
    assert alike.scores["diversity_classifier"] == pytest.approx(0, abs=1e-6)
    assert alike.scores["recall_classifier"] == 0
    assert any("may have collapsed" in sentence for sentence in alike.warnings)
    same = workspace.evaluate("--real", workspace.alike, "--generated", workspace.alike, extractor="random")
    assert same.scores["fd_random"] == pytest.approx(0, abs=1e-9)
    assert same.intervals["fd_random"].high == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("generated", ["images", "images.zip", "renamed", "some_of_them"])
def test_images_among_both_the_real_and_the_generated_give_a_warning(workspace: Workspace, generated: str) -> None:
    """The generated images are the same files, an archive, WebP copies under other names, or only some of these."""
    for number, path in enumerate(sorted(workspace.images.rglob("*.png"))):
        for folder in ("renamed", "some_of_them") if number < 40 else ("renamed",):
            (workspace.folder / folder).mkdir(exist_ok=True)
            Image.open(path).save(workspace.folder / folder / f"{1000 - number}.webp", lossless=True)
    settings = {"extractor": "random", "metrics": ["fid"]}
    statistics = workspace.folder / "images.npz"
    same = workspace.evaluate(
        "--real", workspace.images, "--generated", workspace.folder / generated, "--statistics", statistics, **settings
    )
    assert any("All of the generated images are also among the real" in sentence for sentence in same.warnings)
    by_statistics = workspace.evaluate("--real", statistics, "--generated", workspace.folder / generated, **settings)
    warned = any("also among the real images" in sentence for sentence in by_statistics.warnings)
    assert warned == (generated != "some_of_them")


def test_a_class_without_real_images_gives_a_warning(workspace: Workspace) -> None:
    write_dataset(workspace.folder / "one_sided", blobs(30, SIDE), blobs(8, SIDE, seed=1), classes=9)
    settings = {"extractor": "random", "metrics": ["fid"]}
    record = workspace.evaluate("--real", workspace.one_sided, "--generated", workspace.images, **settings)
    assert any("1 of 9 classes have no held-out image" in sentence for sentence in record.warnings)


def test_memorisation_without_training_images_gives_a_warning(workspace: Workspace) -> None:
    settings = {"extractor": "random", "metrics": ["fid", "memorisation"]}
    record = workspace.evaluate("--real", workspace.images, "--generated", workspace.alike, **settings)
    assert any("Memorisation was not measured" in sentence for sentence in record.warnings)
    settings["reference"] = "held_out"
    record = workspace.evaluate("--real", workspace.data, "--generated", workspace.alike, **settings)
    assert not any("Memorisation" in sentence for sentence in record.warnings)

"""Tests which extractor a configuration selects, and the errors if it is unavailable."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import blobs, write_dataset

from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors import classifier
from gan_core.evaluation.extractors.build import build_extractor


def config(extractor: str, weights: str = "") -> SimpleNamespace:
    return SimpleNamespace(extractor=extractor, inception_weights=weights, resize="clean")


def dataset(place: Path, classes: int) -> PreparedDataset:
    return PreparedDataset(write_dataset(place, blobs(40, 16), blobs(20, 16), classes))


def test_each_extractor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifier.RECIPE, "steps", 1)
    labelled = dataset(tmp_path / "labelled", 2)
    shown: list[str] = []

    @contextmanager
    def counting(_: int, description: str):
        shown.append(description)
        yield lambda _: None

    assert build_extractor(config("classifier"), labelled, tmp_path / "cache", counting).name == "classifier"
    assert shown == ["classifier"]
    assert build_extractor(config("classifier"), labelled, tmp_path / "cache").accuracy is not None
    assert build_extractor(config("random"), None, tmp_path).name == "random"
    with pytest.raises(InvalidInput, match=r"evaluate\.inception_weights='none'"):
        build_extractor(config("inception", "none"), labelled, tmp_path)


@pytest.mark.parametrize("classes", [None, 0, 1])
def test_without_labels_the_classifier_is_refused_with_alternatives(tmp_path: Path, classes: int | None) -> None:
    data = None if classes is None else dataset(tmp_path / "data", classes)
    received = "only images" if classes is None else f"{classes} classes with training images in"
    with pytest.raises(InvalidInput, match=rf"class subfolders.*'random'.*'inception'.*Received: .*{received}"):
        build_extractor(config("classifier"), data, tmp_path / "cache")

"""Tests which extractor a configuration selects, and the errors if it is unavailable."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import blobs, write_dataset
from modalities import EXAMPLES

from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors import classifier
from gan_core.evaluation.extractors.build import build_extractor
from gan_core.modalities.choice import open_source

SOUND = next(one for one in EXAMPLES if one.modality == "audio")


def config(extractor: str, weights: str = "") -> SimpleNamespace:
    places = dict.fromkeys(("inception_weights", "dinov2_weights", "vggish_weights"), weights)
    return SimpleNamespace(extractor=extractor, automatic=[], resize="clean", **places)


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
    for name in ("inception", "dinov2"):
        with pytest.raises(InvalidInput, match=rf"evaluate\.{name}_weights='none'"):
            build_extractor(config(name, "none"), labelled, tmp_path)


def test_vggish_needs_clips_of_one_window_and_its_weights(tmp_path: Path) -> None:
    def build(given: PreparedDataset | None) -> None:
        build_extractor(config("vggish", "none"), given, tmp_path)

    images = dataset(tmp_path / "images", 2)
    with pytest.raises(InvalidInput, match=r"requires a prepared data set of sound.*Received: .*only images"):
        build(None)
    with pytest.raises(InvalidInput, match=r"requires a prepared data set of sound.*Received: .*image in"):
        build(images)
    size = {**SOUND.prepare, "samples": 1536, "frame_length": 128, "frame_step": 48}
    for rate, message in (
        (1024, r"shorter than 1\.5 seconds.*1536 samples at 1024 Hz"),
        (1025, "vggish_weights='none'"),
    ):
        clips = replace(SOUND, prepare={**size, "rate": rate}).prepared(tmp_path / str(rate), last=8)
        with pytest.raises(InvalidInput, match=message):
            build(PreparedDataset(clips))


def test_for_sounds_without_labels_vggish_is_an_alternative(tmp_path: Path) -> None:
    sounds = tmp_path / "raw" / "high"
    SOUND.write(tmp_path / "raw", 0, 20, False)
    settings = PrepareConfig.parse(SOUND.parameters(str(sounds))["prepare"])
    prepare(open_source(str(sounds)), settings, tmp_path / "prepared")
    with pytest.raises(
        InvalidInput, match=r"'random'.*fd_random; or set it to 'vggish'.*to fad\. Received: .*0 classes"
    ):
        build_extractor(config("classifier"), PreparedDataset(tmp_path / "prepared"), tmp_path)


@pytest.mark.parametrize("classes", [None, 0, 1])
def test_without_labels_the_classifier_is_refused_with_alternatives(tmp_path: Path, classes: int | None) -> None:
    data = None if classes is None else dataset(tmp_path / "data", classes)
    received = "only images" if classes is None else f"{classes} classes with training images in"
    with pytest.raises(
        InvalidInput, match=rf"class subfolders.*'random'.*'inception'.*'dinov2'.* to fd_dinov2.*Received: .*{received}"
    ):
        build_extractor(config("classifier"), data, tmp_path / "cache")

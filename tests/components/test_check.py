"""What evaluation or registration would refuse after a training stops it before, with what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import blobs, write_dataset

from components import check, train
from gan_core.errors import InvalidInput, TryAgain

ROOT = Path(__file__).resolve().parents[2]
NO_LABELS = {"evaluate.extractor": "random", "register.score": "fd_random"}
REFUSED = [
    ("unlabelled", {}, "'classifier' is trained on labels.*set evaluate.extractor to 'random'.*Received.*0 classes"),
    ("one_class", {}, "Received: evaluate.extractor='classifier', 1 classes"),
    ("one_class_to_train", {}, "Received: evaluate.extractor='classifier', 1 classes|1 of 2 classes without: 1"),
    (
        "labelled",
        {"register.score": "fid"},
        r"one of \['fd_classifier', 'fd_infinity_classifier', 'kid_cl.*score='fid'",
    ),
    ("unlabelled", {"evaluate.extractor": "random"}, "register.score='fd_classifier'"),
    ("labelled", {"evaluate.metrics": ["kid", "prdc"]}, "register.score='fd_classifier'"),
    ("labelled", {"register.score": "fd_infinity_classifier", "evaluate.samples": 100}, "evaluate.samples=100"),
    ("labelled", {"register.score": "target_l1"}, "target_l1 requires paired images.*set prepare.pairs"),
    (
        "five_held_out",
        NO_LABELS,
        "at least 6 held-out images: raise prepare.held_out_fraction.*remove prdc.*Received: 5",
    ),
    ("one_held_out", {**NO_LABELS, "evaluate.metrics": ["fid"]}, "at least 2 held-out images.*Received: 1"),
    ("one_to_train", NO_LABELS, "at least 2 training images: add images. Received: 1"),
    ("labelled", {"evaluate.samples": 5}, "at least 6 generated images: raise evaluate.samples"),
    ("labelled", {"evaluate.extractor": "inception", "register.score": "fid"}, "inception_weights='/no/such/file'"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    images = blobs(20)
    for name, held_out, classes in (
        ("labelled", 8, 2),
        ("unlabelled", 8, 0),
        ("one_class", 8, 1),
        ("five_held_out", 5, 0),
        ("one_held_out", 1, 0),
        ("one_to_train", 19, 0),
    ):
        write_dataset(folder / name, images[held_out:], images[:held_out], classes=classes)
    write_dataset(folder / "one_class_to_train", images[:1], images[1:], classes=2)
    return folder


def parameters(place: Path, changes: dict[str, Any]) -> Path:
    """A params.yaml with the changes."""
    sections = yaml.safe_load((ROOT / "params.yaml").read_text())
    sections["evaluate"]["inception_weights"] = "/no/such/file"
    for name, value in {"train.score_every_images": 0, **changes}.items():
        section, key = name.split(".")
        sections[section][key] = value
    (place / "params.yaml").write_text(yaml.safe_dump(sections))
    return place / "params.yaml"


def trained(place: Path, config: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = ("checkpoints", "model", "history", "samples")
    options = [word for name in outputs for word in (f"--{name}", str(place / "made" / name))]
    arguments = ["--config", str(config), "--dataset", str(place / dataset), "--cache", str(place / "cache")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, *options])
    train.main()


@pytest.mark.parametrize(("dataset", "changes", "told"), REFUSED)
def test_refused_before_the_training(
    place: Path, dataset: str, changes: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parameters(place, changes)
    sections = yaml.safe_load(config.read_text())
    for options in (
        [str(config), "--register", str(config)],
        [json.dumps(sections["evaluate"]), "--register", json.dumps(sections["register"])],
    ):
        monkeypatch.setattr(sys, "argv", ["check", "--config", *options, "--dataset", str(place / dataset)])
        with pytest.raises(InvalidInput, match=told):
            check.main()
    with pytest.raises(InvalidInput, match=told):
        trained(place, config, dataset, monkeypatch)
    assert not (place / "made" / "model").exists()
    assert not (place / "made" / "checkpoints").exists()


@pytest.mark.parametrize("dataset", ["one_held_out", "five_held_out"])
def test_a_training_that_scores_itself_wants_held_out_images(
    place: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parameters(place, {**NO_LABELS, "evaluate.metrics": ["fid"], "train.score_every_images": 96000})
    with pytest.raises(InvalidInput, match=r"at least 6 held-out images.*train\.score_every_images to 0.*Received: \d"):
        trained(place, config, dataset, monkeypatch)


@pytest.mark.parametrize("samples", [2, 3])
def test_a_training_that_scores_itself_wants_samples_with_three_neighbours(
    place: Path, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parameters(place, {**NO_LABELS, "train.score_every_images": 96000, "train.score_samples": samples})
    with pytest.raises(
        InvalidInput, match=rf"'train\.score_samples' must be at least 4.*Received: score_samples={samples}"
    ):
        trained(place, config, "labelled", monkeypatch)


def test_weights_that_cannot_be_downloaded_may_be_there_later(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inception = {"evaluate.extractor": "inception", "register.score": "fid"}
    config = parameters(place, {**inception, "evaluate.inception_weights": "https://127.0.0.1:9/weights.pth"})
    with pytest.raises((TryAgain, InvalidInput), match=r"127\.0\.0\.1"):
        trained(place, config, "labelled", monkeypatch)


@pytest.mark.parametrize(("dataset", "changes"), [("labelled", {}), ("unlabelled", NO_LABELS)])
def test_what_goes_together_passes(
    place: Path, dataset: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = str(parameters(place, changes))
    monkeypatch.setattr(
        sys, "argv", ["check", "--config", config, "--register", config, "--dataset", str(place / dataset)]
    )
    check.main()
    assert "fit the data" in capsys.readouterr().out


def test_it_names_the_champion_for_the_steps_after_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = str(parameters(place, {"evaluate.extractor": "random", "register.score": "fd_random"}))
    address = place / "champion"
    options = [
        "--config",
        config,
        "--register",
        config,
        "--dataset",
        str(place / "labelled"),
        "--champion",
        str(address),
    ]
    monkeypatch.setattr(sys, "argv", ["check", *options])
    check.main()
    assert address.read_text() == "models:/synthetic-16x16x1@champion"

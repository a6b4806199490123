"""Parameters that evaluation or registration would refuse after a training are refused before it, with the remedy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import blobs, write_dataset
from recipes import project_parameters

from components import check, train
from gan_core.config import EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.requirements import with_extractor

CLASSIFIER = {"evaluate.extractor": "classifier"}
NO_LABELS = {"evaluate.extractor": "random", "register.score": "fd_random"}
REFUSED = [
    (
        "unlabelled",
        CLASSIFIER,
        "'classifier' is trained on labels.*set evaluate.extractor to auto, or to 'random'.*Received.*0 classes",
    ),
    ("one_class", CLASSIFIER, "Received: evaluate.extractor='classifier', 1 classes"),
    (
        "one_class_to_train",
        CLASSIFIER,
        "Received: evaluate.extractor='classifier', 1 classes|1 of 2 classes without: 1",
    ),
    (
        "labelled",
        {"register.score": "fid"},
        r"one of \['fd_classifier', 'fd_infinity_classifier', 'kid_cl.*score='fid'",
    ),
    ("unlabelled", {"register.score": "fd_classifier"}, "extractor='random'.*register.score='fd_classifier'"),
    ("labelled", {"register.score": "fd_random"}, "extractor='classifier'.*register.score='fd_random'"),
    (
        "labelled",
        {"register.score": "fd_classifier", "evaluate.metrics": ["kid", "prdc"]},
        "register.score='fd_classifier'",
    ),
    ("labelled", {"register.score": "fd_infinity_classifier", "evaluate.samples": 100}, "evaluate.samples=100"),
    ("labelled", {"register.score": "target_l1"}, "target_l1 requires paired images.*set prepare.image.pairs"),
    (
        "five_held_out",
        NO_LABELS,
        "at least 6 held-out examples: raise prepare.held_out_fraction.*remove prdc.*Received: 5",
    ),
    ("one_held_out", {**NO_LABELS, "evaluate.metrics": ["fid"]}, "at least 2 held-out examples.*Received: 1"),
    ("one_to_train", NO_LABELS, "at least 2 training examples: add examples. Received: 1"),
    ("labelled", {"evaluate.samples": 5}, "at least 6 generated examples: raise evaluate.samples"),
    ("labelled", {"evaluate.extractor": "inception", "register.score": "fid"}, "inception_weights='/no/such/file'"),
    (
        "labelled",
        {"evaluate.extractor": "dinov2", "evaluate.dinov2_weights": "none", "register.score": "fd_dinov2"},
        "dinov2_weights='none'",
    ),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def write_parameters(workspace: Path, changes: dict[str, Any]) -> Path:
    """Writes params.yaml with the changes and returns its path."""
    sections = project_parameters()
    sections["evaluate"]["inception_weights"] = "/no/such/file"
    for name, value in {"train.score_every_images": 0, **changes}.items():
        section, key = name.split(".")
        sections[section][key] = value
    (workspace / "params.yaml").write_text(yaml.safe_dump(sections))
    return workspace / "params.yaml"


def run_train(workspace: Path, config: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = ("checkpoints", "model", "history", "samples")
    options = [word for name in outputs for word in (f"--{name}", str(workspace / "made" / name))]
    arguments = ["--config", str(config), "--dataset", str(workspace / dataset), "--cache", str(workspace / "cache")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, *options])
    train.main()


@pytest.mark.parametrize(("dataset", "changes", "message"), REFUSED)
def test_parameters_that_do_not_fit_the_data_are_refused_before_the_training(
    workspace: Path, dataset: str, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_parameters(workspace, changes)
    sections = yaml.safe_load(config.read_text())
    for options in (
        [str(config), "--register", str(config)],
        [json.dumps(sections["evaluate"]), "--register", json.dumps(sections["register"])],
    ):
        monkeypatch.setattr(sys, "argv", ["check", "--config", *options, "--dataset", str(workspace / dataset)])
        with pytest.raises(InvalidInput, match=message):
            check.main()
    with pytest.raises(InvalidInput, match=message):
        run_train(workspace, config, dataset, monkeypatch)
    assert not (workspace / "made" / "model").exists()
    assert not (workspace / "made" / "checkpoints").exists()


@pytest.mark.parametrize("dataset", ["one_held_out", "five_held_out"])
def test_a_training_with_scores_requires_held_out_images(
    workspace: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_parameters(workspace, {**NO_LABELS, "evaluate.metrics": ["fid"], "train.score_every_images": 96000})
    with pytest.raises(
        InvalidInput, match=r"at least 6 held-out examples.*train\.score_every_images to 0.*Received: \d"
    ):
        run_train(workspace, config, dataset, monkeypatch)


@pytest.mark.parametrize("samples", [2, 3])
def test_a_training_with_scores_requires_four_samples(
    workspace: Path, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_parameters(
        workspace, {**NO_LABELS, "train.score_every_images": 96000, "train.score_samples": samples}
    )
    with pytest.raises(
        InvalidInput, match=rf"'train\.score_samples' must be at least 4.*Received: score_samples={samples}"
    ):
        run_train(workspace, config, "labelled", monkeypatch)


def test_the_error_for_a_failed_download_of_weights_names_the_address(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inception = {"evaluate.extractor": "inception", "register.score": "fid"}
    config = write_parameters(workspace, {**inception, "evaluate.inception_weights": "https://127.0.0.1:9/weights.pth"})
    with pytest.raises((TryAgain, InvalidInput), match=r"127\.0\.0\.1"):
        run_train(workspace, config, "labelled", monkeypatch)


@pytest.mark.parametrize(("dataset", "changes"), [("labelled", {}), ("unlabelled", NO_LABELS)])
def test_fitting_parameters_are_accepted(
    workspace: Path,
    dataset: str,
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    config = str(write_parameters(workspace, changes))
    monkeypatch.setattr(
        sys, "argv", ["check", "--config", config, "--register", config, "--dataset", str(workspace / dataset)]
    )
    check.main()
    assert "fit the data" in capsys.readouterr().out


def test_the_command_writes_the_champions_name_for_later_steps(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(write_parameters(workspace, {"evaluate.extractor": "random", "register.score": "fd_random"}))
    address = workspace / "champion"
    options = [
        "--config",
        config,
        "--register",
        config,
        "--dataset",
        str(workspace / "labelled"),
        "--champion",
        str(address),
    ]
    monkeypatch.setattr(sys, "argv", ["check", *options])
    check.main()
    assert address.read_text() == "models:/synthetic-16x16x1@champion"


def test_the_log_names_the_trial_of_a_sweep(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    config = str(write_parameters(workspace, {}))
    options = ["--config", config, "--register", config, "--dataset", str(workspace / "labelled"), "--trial", "seed=1"]
    monkeypatch.setattr(sys, "argv", ["check", *options])
    check.main()
    assert capsys.readouterr().out == "seed=1: the parameters fit the data\n"


@pytest.mark.parametrize(
    ("dataset", "extractor"),
    [("labelled", "classifier"), ("unlabelled", "random"), ("one_class", "random"), ("one_class_to_train", "random")],
)
def test_the_extractor_follows_from_the_labels(workspace: Path, dataset: str, extractor: str) -> None:
    config = EvaluateConfig.parse(project_parameters()["evaluate"])
    assert with_extractor(config, PreparedDataset(workspace / dataset)).extractor == extractor
    chosen = config.model_copy(update={"extractor": "inception"})
    assert with_extractor(chosen, PreparedDataset(workspace / dataset)) == chosen


def test_files_of_images_have_no_labels() -> None:
    config = EvaluateConfig.parse(project_parameters()["evaluate"])
    assert with_extractor(config, None).extractor == "random"


def test_unlabelled_data_pass_with_the_projects_parameters(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = str(write_parameters(workspace, {}))
    place = ("--dataset", str(workspace / "unlabelled"))
    monkeypatch.setattr(sys, "argv", ["check", "--config", config, "--register", config, *place])
    check.main()

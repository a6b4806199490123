"""The drift command on data sets made of the real digits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from modalities import EXAMPLES
from recipes import project_parameters
from sklearn.datasets import load_digits

from gan_core.evaluation.drift_detection import Drift
from tests.datasets import write_dataset

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = slice(0, 900), slice(900, 1797)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drift")


@pytest.fixture(scope="module")
def digits(folder: Path) -> Callable[[str, np.ndarray, np.ndarray], Path]:
    """Returns a function that writes images and labels as a data set; a quarter of them is held out."""

    def write(name: str, images: np.ndarray, labels: np.ndarray) -> Path:
        classes = len(np.unique(labels))
        held_out = np.arange(len(images)) % 4 == 0
        splits = [interleaved(images[part], labels[part]) for part in (~held_out, held_out)]
        return write_dataset(folder / name, *splits, classes=classes)

    return write


def interleaved(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns equally many images of each class in alternation, because `write_dataset` labels images by position."""
    each = [images[labels == label] for label in np.unique(labels)]
    fewest = min(map(len, each))
    return np.stack([part[:fewest] for part in each], axis=1).reshape(-1, *images.shape[1:])


def sample(part: slice) -> tuple[np.ndarray, np.ndarray]:
    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))[part]
    images = (loaded.images[order] * 15.9).astype(np.uint8)
    return np.kron(images, np.ones((1, 2, 2), np.uint8))[..., None], loaded.target[order]


def drift(folder: Path, reference: Path, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.drift", "--config", str(ROOT / "params.yaml"), *more]
    paths = {"--reference": reference, "--data": data, "--record": folder / "drift.json", "--cache": folder / "cache"}
    command += [str(word) for pair in paths.items() for word in pair]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def record(folder: Path) -> Drift:
    return Drift.model_validate_json((folder / "drift.json").read_text())


def test_new_digits_are_no_drift_and_inverted_digits_are(folder: Path, digits: Callable) -> None:
    images, labels = sample(SECOND)
    reference, new = digits("reference", *sample(FIRST)), digits("new", images, labels)
    done = drift(folder, reference, new, "--exit-code")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "not drifted"
    same = record(folder)
    assert (same.drifted, same.extractor) == (False, "classifier")
    assert same.distance is not None
    assert same.distance.low < 0

    inverted = digits("inverted", 255 - images, labels)
    done = drift(folder, reference, inverted, "--exit-code")
    assert (done.returncode, done.stdout.splitlines()[0]) == (3, "drifted"), done.stderr
    assert "kernel distance" in done.stdout
    assert record(folder).distance.low > 1


def test_absent_classes_are_drift_but_not_an_error(folder: Path, digits: Callable) -> None:
    images, labels = sample(SECOND)
    reference = digits("ten-classes", *sample(FIRST))
    fewer = digits("eight-classes", images[labels < 8], labels[labels < 8])
    done = drift(folder, reference, fewer)
    assert done.returncode == 0, done.stderr
    written = record(folder)
    assert written.drifted
    assert written.shares is not None
    assert written.shares.total_variation == pytest.approx(0.2)
    assert (written.shares.reference["9"], written.shares.data["9"]) == (pytest.approx(0.1), 0.0)


def test_identical_data_are_no_drift_and_load_no_tensorflow(folder: Path, digits: Callable) -> None:
    data = digits("itself", *sample(slice(0, 100)))
    done = drift(folder, data, data, "--exit-code")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the data and the reference are identical" in done.stdout


def test_too_few_images_are_refused_in_one_sentence(folder: Path, digits: Callable) -> None:
    few = digits("few", *sample(slice(0, 200)))
    done = drift(folder, digits("enough", *sample(FIRST)), few)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "at least 100 held-out examples" in done.stderr
    assert "Received: " in done.stderr


def test_texts_that_the_reference_cannot_write_are_named_and_many_of_them_are_drift(folder: Path) -> None:
    example = next(one for one in EXAMPLES if one.modality == "text")
    sections = example.parameters()
    sections["drift"]["blocks"] = 4
    (folder / "texts.yaml").write_text(json.dumps(sections))
    reference = example.prepared(folder / "texts", 0, 400)
    for count, verdict in ((5, "not drifted"), (60, "drifted")):
        new = folder / f"texts-{count}"
        example.write(new / "raw", 400, 400 + 400 - count, False)
        with (new / "raw" / "open.txt").open("a", encoding="utf-8") as file:
            # Of two such texts one has a symbol that the reference lacks, and the other is too long for it.
            file.writelines(f"{'ab' * 4}{'éa'[number % 2]}\n" for number in range(count))
        done = drift(folder, reference, example.prepared(new, 0, 0), "--config", str(folder / "texts.yaml"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == verdict
        written = record(folder).unwritable
        assert (written.symbols, written.longest, written.texts, written.share) == ("é", 8, count, count / 400)
        assert (
            f"{count} texts ({count / 400:.1%}) have symbols that the reference does not have (é) or more"
            in done.stdout
        )


def test_a_wrong_parameter_is_refused(folder: Path, digits: Callable) -> None:
    sections = project_parameters()
    sections["drift"]["confidence"] = 95
    (folder / "wrong.yaml").write_text(json.dumps(sections))
    data = digits("wrong", *sample(slice(0, 100)))
    done = drift(folder, data, data, "--config", str(folder / "wrong.yaml"))
    assert (done.returncode, "'drift.confidence' must be less than 1" in done.stderr) == (2, True)

"""`evaluate --engine beam` writes the scores of `evaluate`, on every runner."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from evaluate_runs import ROOT, SETTINGS, SIDE, write_generator
from generators import untrained_generator
from modalities import EACH, Example
from PIL import Image
from runners import IN_PROCESS

from components import evaluate
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.exit_codes import run
from gan_core.export import load_generator

pytestmark = pytest.mark.filterwarnings("ignore")  # Beam and Keras warn on import
_SETTINGS = SETTINGS | {"extractor": "random", "samples": 1100}  # two parts


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Light and dark images of two classes, a generator of them, two other generators, and a folder of images."""
    configure_tensorflow()
    folder = tmp_path_factory.mktemp("evaluate")
    images = blobs(1300, SIDE)
    images[1::2] = 255 - images[1::2]
    write_dataset(folder / "data", images[:1100], images[1100:], classes=2)
    untrained_generator(folder / "data", folder / "generator")
    write_generator(folder / "rival", seed=1)
    write_generator(folder / "colour", (SIDE, SIDE, 3))
    (folder / "images").mkdir()
    for number, image in enumerate(load_generator(folder / "rival").sample(1100, seed=3)):
        Image.fromarray(image[:, :, 0]).save(folder / "images" / f"{number}.png")
    return folder


def _options(folder: Path, settings: Mapping[str, Any], *options: object, runner: Sequence[str] = ()) -> list[str]:
    """Returns the command's options. Each way has a cache of its own."""
    way = "divided" if runner else "alone"
    outputs = ["--scores", folder / f"{way}.json", "--cache", folder / way]
    found = [str(option) for option in ("--config", json.dumps(settings), *options, *outputs)]
    return [*found, "--engine", "beam", "--", *runner] if runner else found


def _run(arguments: Sequence[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluate", *arguments])
        run(evaluate.main)


def _require_equal(folder: Path) -> None:
    alone, divided = (json.loads((folder / f"{way}.json").read_text()) for way in ("alone", "divided"))
    assert _without_floats(divided) == _without_floats(alone)
    assert _floats(divided) == pytest.approx(_floats(alone), rel=1e-6, abs=1e-9)


def _floats(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [one for entry in (value.values() if isinstance(value, dict) else value) for one in _floats(entry)]
    return [value] if isinstance(value, float) else []


def _without_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_floats(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_floats(entry) for entry in value]
    return "float" if isinstance(value, float) else value


def test_every_runner_gives_the_scores_of_one_process(workspace: Path, tmp_path: Path, runner: list[str]) -> None:
    sides = ["--real", workspace / "data", "--generated", workspace / "generator"]
    settings = _SETTINGS | {"reference": "train", "metrics": ["fid", "kid", "prdc"]}
    command = [sys.executable, "-m", "components.evaluate", *_options(tmp_path, settings, *sides, runner=runner)]

    _run(_options(tmp_path, settings, *sides))
    divided = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert divided.returncode == 0, divided.stderr
    _require_equal(tmp_path)
    assert [path.name for path in (tmp_path / "divided").iterdir() if path.is_dir()] == []


def test_a_trained_extractor_and_a_champion(workspace: Path, tmp_path: Path) -> None:
    options = ["--real", workspace / "data", "--generated", workspace / "generator", "--champion", workspace / "rival"]
    settings = _SETTINGS | {"extractor": "classifier"}

    _run(_options(tmp_path, settings, *options))
    _run(_options(tmp_path, settings, *options, runner=IN_PROCESS))

    _require_equal(tmp_path)


def test_a_folder_of_images(workspace: Path, tmp_path: Path) -> None:
    options = ["--real", workspace / "data", "--generated", workspace / "images", "--champion", workspace / "rival"]

    _run(_options(tmp_path, _SETTINGS, *options))
    _run(_options(tmp_path, _SETTINGS, *options, runner=IN_PROCESS))

    _require_equal(tmp_path)


def test_a_mistake_that_a_worker_finds(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = _SETTINGS | {"extractor": "classifier"}
    options = ["--real", workspace / "data", "--generated", workspace / "generator", "--champion", workspace / "colour"]

    _run(_options(tmp_path, settings, *options, runner=IN_PROCESS))

    shown = capsys.readouterr().out
    assert f"note: The champion, {workspace / 'colour'}, cannot be evaluated: The classifier compares arrays" in shown


@EACH
def test_each_modality(example: Example, tmp_path: Path) -> None:
    configure_tensorflow()
    data = example.prepared(tmp_path, 0, 200)
    generator = untrained_generator(data, tmp_path / "generator", **example.train)
    settings = example.parameters()["evaluate"] | {"samples": 1100, "batch_size": 100}

    _run(_options(tmp_path, settings, "--real", data, "--generated", generator))
    _run(_options(tmp_path, settings, "--real", data, "--generated", generator, runner=IN_PROCESS))

    _require_equal(tmp_path)

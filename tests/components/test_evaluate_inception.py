"""The evaluate command on image files, with an Inception network of random weights."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs
from PIL import Image

from components import evaluate
from gan_core.evaluation.extractors import build
from gan_core.evaluation.extractors.inception_network import build_network
from gan_core.evaluation.extractors.weights import Weights
from gan_core.evaluation.protocol import Evaluation
from gan_core.exit_codes import run

SETTINGS = {
    "extractor": "inception",
    "inception_weights": "",
    "vggish_weights": "",
    "resize": "legacy_tensorflow",
    "reference": "held_out",
    "metrics": ["fid", "kid"],
    "samples": 10,
    "sampling_seeds": 1,
    "seed": 0,
    "batch_size": 4,
    "kid_subsets": 2,
    "kid_subset_size": 5,
    "bootstrap_replicates": 2,
}


@functools.cache
def random_weights() -> Weights:
    generator = np.random.default_rng(0)
    tensors = {
        "fc.weight": generator.standard_normal((1008, 2048), np.float32) / 45,
        "fc.bias": np.zeros(1008, np.float32),
    }
    for layer in build_network().layers:
        if layer.weights:
            height, width, inputs, filters = layer.kernel.shape
            kernel = generator.standard_normal((filters, inputs, height, width), np.float32)
            tensors[f"{layer.name}.conv.weight"] = kernel * np.float32((2 / (height * width * inputs)) ** 0.5)
            for part, value in (("weight", 1), ("bias", 0.1), ("running_mean", 0), ("running_var", 1)):
                tensors[f"{layer.name}.bn.{part}"] = np.full(filters, value, np.float32)
    return Weights("sha256-random", tensors)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of grey and colour images of several sizes."""
    folder = tmp_path_factory.mktemp("inception")
    for seed, name in enumerate(("real", "generated")):
        (folder / name).mkdir()
        for number, side in enumerate((16, 16, 20, 33, 16, 16)):
            pixels = blobs(1, side, 3 if number % 3 else 1, seed=10 * seed + number)[0]
            Image.fromarray(pixels.squeeze()).save(folder / name / f"{number}.png")
    return folder


def run_evaluate(workspace: Path, *options: object, **settings: object) -> Evaluation:
    arguments = [
        "--config",
        json.dumps(SETTINGS | settings),
        "--cache",
        workspace / "cache",
        "--scores",
        workspace / "scores.json",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "load_weights", lambda *_: random_weights())
        patch.setattr(sys, "argv", ["evaluate", *map(str, [*arguments, *options])])
        run(evaluate.main)
    return Evaluation.parse((workspace / "scores.json").read_text(), "")


def test_a_statistics_file_gives_the_same_distance_as_its_images(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statistics, report = workspace / "statistics.npz", workspace / "report.html"
    options = ["--real", workspace / "real", "--generated", workspace / "generated"]
    folders = run_evaluate(workspace, *options, "--statistics", statistics, "--report", report)
    assert set(folders.scores) == {f"{m}_inception_unverified" for m in ("fd", "kid", "diversity", "inception_score")}
    assert folders.scores["fd_inception_unverified"] > 0
    assert folders.protocol.reference == "files"
    assert folders.protocol.extractor_digest == "sha256-random"
    assert any("2048 feature dimensions" in sentence for sentence in folders.warnings)
    assert "Nearest real images" in report.read_text()

    from_statistics = run_evaluate(
        workspace, "--real", statistics, "--generated", workspace / "generated", "--metrics", "fid"
    )
    assert from_statistics.scores["fd_inception_unverified"] == pytest.approx(
        folders.scores["fd_inception_unverified"], rel=1e-9
    )
    assert from_statistics.protocol.reference == "statistics"
    assert from_statistics.protocol.reference_count == 6

    capsys.readouterr()
    for wrong, sentence in (
        ([statistics, "--metrics", "fid", "--mode", "clean"], "resized in the same way"),
        ([statistics, "--metrics", "kid"], "only the metric 'fid' can be computed"),
    ):
        with pytest.raises(SystemExit) as ended:
            run_evaluate(workspace, "--generated", workspace / "generated", "--real", *wrong)
        assert ended.value.code == 2
        assert sentence in capsys.readouterr().err

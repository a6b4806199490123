"""Runs of the evaluate command for the tests, and the data and generators that they evaluate."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset
from generators import generator_metadata
from PIL import Image

from components import evaluate
from gan_core.evaluation.protocol import Evaluation
from gan_core.exit_codes import run
from gan_core.export import load_generator, save_generator

ROOT = Path(__file__).resolve().parents[1]
SIDE = 16
SETTINGS = {
    "extractor": "classifier",
    "inception_weights": "",
    "vggish_weights": "",
    "resize": "legacy_tensorflow",
    "reference": "held_out",
    "metrics": ["fid", "kid", "prdc", "memorisation"],
    "samples": 90,
    "sampling_seeds": 2,
    "seed": 3,
    "batch_size": 40,
    "kid_subsets": 4,
    "kid_subset_size": 1000,
    "bootstrap_replicates": 3,
}


def write_generator(
    folder: Path, shape: tuple[int, int, int] = (SIDE, SIDE, 1), seed: int = 0, scale: float = 1.0
) -> Path:
    import keras

    initial = keras.initializers.RandomUniform(-scale, scale, seed)
    dense = keras.layers.Dense(int(np.prod(shape)), "tanh", kernel_initializer=initial)
    layers = [keras.Input((8,)), dense, keras.layers.Reshape(shape)]
    metadata = generator_metadata(
        latent_size=8, shape=shape, images_seen=640, parameters={"steps": 10}, versions={"keras": keras.__version__}
    )
    save_generator(folder, keras.Sequential(layers), metadata)
    return folder


@dataclass(frozen=True)
class Workspace:
    """A folder with data sets and generators, and the outputs of evaluating `generator` on `data`."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name

    def evaluate(self, *options: object, **settings: object) -> Evaluation:
        """Runs the command in this process and returns the record it wrote."""
        scores = self.folder / "again.json"
        arguments = ["--config", json.dumps(SETTINGS | settings), "--cache", self.folder / "cache", "--scores", scores]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["evaluate", *map(str, [*arguments, *options])])
            run(evaluate.main)
        return Evaluation.parse(scores.read_text(), "")


def make_workspace(folder: Path) -> Workspace:
    """Writes data sets, generators and images into `folder`."""
    images = blobs(200, SIDE)
    images[1::2] = 255 - images[1::2]
    write_dataset(folder / "data", images[:120], images[120:], classes=2)
    write_dataset(folder / "unlabelled", images[:120], images[120:])
    write_generator(folder / "generator")
    write_generator(folder / "rival", seed=1)
    (folder / "alike").mkdir()
    for number in range(30):
        Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(folder / "alike" / f"{number}.png")
    write_generator(folder / "colour", (SIDE, SIDE, 3))
    generated = load_generator(folder / "generator").sample(90, seed=3)
    (folder / "images" / "sub").mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number, image in enumerate(generated):
            name = f"{'sub/' if number % 2 else ''}{number:03d}.png"
            Image.fromarray(image[:, :, 0]).save(folder / "images" / name)
            archive.write(folder / "images" / name, name)
    return Workspace(folder)


def run_process(workspace: Workspace) -> subprocess.CompletedProcess[str]:
    """Runs the command in a separate process."""
    outputs = ["--scores", "scores.json", "--report", "report.html", "--statistics", "statistics.npz"]
    options = ["--real", "data", "--generated", "generator", "--cache", "cache", "--config", json.dumps(SETTINGS)]
    command = [sys.executable, "-m", "components.evaluate", *options, *outputs]
    return subprocess.run(
        command,
        cwd=workspace.folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(workspace.folder)},
        capture_output=True,
        check=False,
        text=True,
    )

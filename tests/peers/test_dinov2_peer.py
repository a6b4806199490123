"""The DINOv2 network and its input equal timm's and torchvision's, with the same random weights from PyTorch's file.

The network is small here. `benchmarks/evaluation.py` compares the whole ViT-L/14.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from dinov2_weights import SMALL

from gan_core.evaluation.extractors.dinov2 import Dinov2Extractor
from gan_core.evaluation.extractors.weights import DINOV2, load_weights

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="needs the peers' environment: make test-peers")

IMAGE_SETS = {"grey": (3, 28, 28, 1), "odd": (2, 331, 47, 3), "even": (2, 64, 64, 3), "unresized": (2, 224, 224, 3)}
TOLERANCE = 5e-6  # relative to the largest feature; the approximation of GELU by tanh changes features by 5e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and with timm's features and weights."""
    folder = tmp_path_factory.mktemp("timm")
    draws = np.random.default_rng(0)
    images = {name: draws.integers(0, 256, shape, dtype=np.uint8) for name, shape in IMAGE_SETS.items()}
    np.savez(folder / "images.npz", **images)
    script = ROOT / "benchmarks" / "timm_features.py"
    subprocess.run([PEERS_PYTHON, script, folder, *map(str, astuple(SMALL))], check=True)
    return folder


def test_features_equal_those_of_timm(folder: Path) -> None:
    file = folder / "weights.pth"
    weights = load_weights(DINOV2, f"{file}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}", folder)
    extractor = Dinov2Extractor(weights, SMALL)
    with np.load(folder / "images.npz") as images, np.load(folder / "features.npz") as expected:
        for name in IMAGE_SETS:
            theirs = expected[name]
            assert np.abs(theirs[0] - theirs[1]).max() / np.abs(theirs).max() > 0.01
            assert np.abs(extractor(images[name]) - theirs).max() / np.abs(theirs).max() < TOLERANCE

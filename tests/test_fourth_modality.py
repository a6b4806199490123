"""Curves, a modality that only this file knows, go from raw files to a served generator and a report.

A curve is a .curve file with 256 levels from 0 to 255. The stored array is the curve, folded into 16 × 16 levels.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import mlflow
import numpy as np
import pytest
import yaml
from PIL import Image
from pydantic import Field
from recipes import project_parameters, small_parameters

import gan_core.codecs
import gan_core.modalities
from components import evaluate, prepare, register, train
from gan_core.codecs.codec import Codec
from gan_core.config import Section
from gan_core.data.manifest import Manifest
from gan_core.data.sources import Folder, Source
from gan_core.errors import UnreadableItem
from gan_core.modalities.modality import Modality

SIDE, PICTURE_HEIGHT, PICTURE_WIDTH = 16, 32, 64


class CurveSettings(Section):
    """The section `prepare.curve`."""

    section = "prepare.curve"

    highest: Annotated[int, Field(ge=1, le=255)]


class CurveCodec(Codec):
    """Scales the training curves' largest level to 255."""

    modality: Literal["curve"] = "curve"
    item: ClassVar[str] = "curve"
    largest: Annotated[int, Field(ge=1, le=255)]

    def encode(self, decoded: np.ndarray) -> np.ndarray:
        levels = np.minimum(np.rint(decoded.astype(np.float64) * 255 / self.largest), 255)
        return levels.astype(np.uint8).reshape(self.shape)

    def picture(self, array: np.ndarray) -> np.ndarray:
        levels = array.ravel()[::4]
        rows = PICTURE_HEIGHT - 1 - levels.astype(int) * PICTURE_HEIGHT // 256
        drawn = np.full((PICTURE_HEIGHT, len(levels), 1), 255, np.uint8)
        drawn[rows, np.arange(len(levels))] = 0
        return drawn

    def answer(self, arrays: np.ndarray) -> list[dict[str, Any]]:
        return [{"curve": (array.ravel() * (self.largest / 255)).tolist()} for array in arrays]


class Curve(Modality[CurveSettings]):
    """Curves in files with the suffix .curve."""

    item = CurveCodec.item
    settings = CurveSettings
    suffixes = frozenset({".curve"})
    built_in: dict[str, Callable[[], Source]] = {}  # noqa: RUF012

    def open(self, path: Path) -> Source:
        return Folder(path, "curve", self.item, self.suffixes, bytes)

    def decoded(self, settings: CurveSettings) -> tuple[tuple[int, ...], Any]:
        return (SIDE * SIDE,), np.uint16

    def decode(self, opener: Callable[[], bytes], settings: CurveSettings) -> np.ndarray:
        levels = np.frombuffer(opener(), np.uint8).astype(np.uint16)
        if levels.shape != (SIDE * SIDE,) or levels.max() > settings.highest:
            raise UnreadableItem("not a curve")
        return levels

    def fit(self, train: Iterable[np.ndarray], held_out: Iterable[np.ndarray], settings: CurveSettings) -> CurveCodec:
        return CurveCodec(shape=(SIDE, SIDE, 1), largest=max(int(curve.max()) for curve in train))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with curves of two classes."""
    monkeypatch.setitem(gan_core.modalities.MODALITIES, "curve", Curve())
    monkeypatch.setitem(gan_core.codecs.CODECS, "curve", CurveCodec)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    generator = np.random.default_rng(0)
    for number in range(80):
        path = tmp_path / "raw" / ("slow", "fast")[number % 2] / f"{number}.curve"
        path.parent.mkdir(parents=True, exist_ok=True)
        phases = np.linspace(0, (2 + 4 * (number % 2)) * np.pi, SIDE * SIDE) + generator.uniform(0, 6)
        path.write_bytes(np.rint(60 + 40 * np.sin(phases)).astype(np.uint8).tobytes())
    (tmp_path / "raw" / "slow" / "damaged.curve").write_bytes(b"?")
    parameters = project_parameters()
    parameters["prepare"] |= {"source": "raw", "curve": {"highest": 200}, "max_rejected_fraction": 0.1}
    parameters["train"] = small_parameters(steps=6, log_every_images=16, samples_every_images=16)
    parameters["evaluate"] |= {"extractor": "random", "metrics": ["fid"], "samples": 40, "sampling_seeds": 1}
    parameters["evaluate"] |= {"bootstrap_replicates": 2}
    parameters["register"]["score"] = "fd_random"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, stage: Any, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", [stage.__name__, "--config", "params.yaml", *options])
    stage.main()


@pytest.mark.filterwarnings("ignore")  # MLflow and Keras warn on import and on load
def test_a_modality_of_one_file_goes_through_all_stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, prepare, "--dataset", "data")
    manifest = Manifest.parse((project / "data" / "manifest.json").read_text(), "")
    assert isinstance(manifest.codec, CurveCodec)
    assert (manifest.shape, manifest.codec.largest) == ((SIDE, SIDE, 1), 100)
    assert manifest.settings["curve.highest"] == 200
    assert not any(key.startswith("image.") for key in manifest.settings)
    assert [entry.reason for entry in manifest.rejected] == ["not a curve"]
    with Image.open(project / "data" / "preview.png") as preview:
        assert preview.width > 10 * 2 * PICTURE_WIDTH  # curves, enlarged by 2; the arrays would need 10 * 82 pixels

    outputs = ("--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png")
    run(monkeypatch, train, "--dataset", "data", "--model", "model", *outputs)
    with Image.open(project / "samples.png") as samples:
        assert samples.width > 8 * 2 * PICTURE_WIDTH

    scored = ("--real", "data", "--generated", "model", "--history", "history.csv", "--champion", "params.yaml")
    run(monkeypatch, evaluate, *scored, "--scores", "scores.json", "--report", "report.html")
    report = (project / "report.html").read_text()
    assert f'width="{PICTURE_WIDTH}" height="{PICTURE_HEIGHT}"' in report
    assert "Real curves, evenly spaced over the data set." in report
    assert not re.search(r"\bimages?\b", re.sub(r"<style>.*</style>|<[^>]*>", "", report, flags=re.DOTALL))

    run(monkeypatch, register, "--model", "model", "--scores", "scores.json", "--registration", "registration.json")
    registration = json.loads((project / "registration.json").read_text())
    assert registration["decision"] == "champion"

    served = mlflow.pyfunc.load_model(f"models:/raw-16x16x1/{registration['version']}")
    answers = served.predict([{"count": 2, "seed": 0}])
    assert [len(answer["curve"]) for answer in answers] == [SIDE * SIDE] * 2
    assert max(max(answer["curve"]) for answer in answers) <= manifest.codec.largest

"""The evaluate command on sound with a VGGish network of random weights."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators import generator_metadata
from modalities import EXAMPLES
from vggish_weights import random_vggish

from components import evaluate
from components.check import check
from gan_core.config import EvaluateConfig, RegisterConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors import build
from gan_core.evaluation.extractors.clips import METHOD
from gan_core.evaluation.extractors.weights import VGGISH, Weights
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.record_checks import find_faults, has_standard_error
from gan_core.evaluation.requirements import check_data, check_sections
from gan_core.exit_codes import run
from gan_core.export import save_generator

SOUND = next(one for one in EXAMPLES if one.modality == "audio")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared tones in `prepared`, and a generator of their spectrograms in `generator`."""
    import keras

    folder = tmp_path_factory.mktemp("vggish")
    manifest = PreparedDataset(SOUND.prepared(folder, last=40)).manifest
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(256, "tanh"), keras.layers.Reshape((16, 16, 1))])
    save_generator(folder / "generator", network, generator_metadata(codec=manifest.codec))
    settings = SOUND.parameters()["evaluate"] | {"extractor": "vggish", "metrics": ["fid", "kid"]}
    settings |= {"samples": 8, "sampling_seeds": 1, "kid_subset_size": 4}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


def evaluation_with(digest: str, workspace: Path) -> Evaluation:
    options = {"--config": (workspace / "settings.json").read_text(), "--real": "prepared", "--generated": "generator"}
    options |= {"--scores": "scores.json", "--report": "report.html", "--cache": "cache"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        patch.setattr(build, "load_weights", lambda *_: Weights(digest, random_vggish()))
        patch.setattr(sys, "argv", ["evaluate", *(word for option in options.items() for word in option)])
        run(evaluate.main)
    return Evaluation.parse((workspace / "scores.json").read_text(), "")


def test_only_the_published_weights_give_a_score_of_the_name_fad(workspace: Path) -> None:
    published = evaluation_with(f"sha256-{VGGISH.sha256}", workspace)
    other = evaluation_with("sha256-other", workspace)
    assert set(published.scores) == {"fad", "kid_vggish", "diversity_vggish"}
    assert set(other.scores) == {f"{metric}_vggish_unverified" for metric in ("fd", "kid", "diversity")}
    assert published.scores["fad"] == other.scores["fd_vggish_unverified"] > 0
    assert published.standard_errors.keys() == {"fad", "kid_vggish"}
    assert find_faults(published) == []
    assert has_standard_error("fad")
    assert not has_standard_error("fad_infinity")
    assert find_faults(published.model_copy(update={"scores": {**published.scores, "fad": -1.0}})) != []
    assert published.protocol.resize == METHOD
    (difference, digests) = published.protocol.differences(other.protocol)
    assert "extractor: vggish, not vggish_unverified" in difference
    assert VGGISH.sha256 in digests
    assert [row.name for row in published.codec_floor][:2] == ["real, through the codec", "real, untouched"]
    assert np.isfinite([row.fd for row in published.codec_floor]).all()


@pytest.mark.parametrize(("score", "samples"), [("fad", 8), ("kid_vggish", 8), ("fad_infinity", 200)])
def test_the_scores_of_vggish_can_decide_at_registration(workspace: Path, score: str, samples: int) -> None:
    settings = json.loads((workspace / "settings.json").read_text())
    evaluation = EvaluateConfig.parse(settings | {"samples": samples})
    registration = RegisterConfig.parse(SOUND.parameters()["register"] | {"score": score})
    check_sections(evaluation, registration)
    check_data(evaluation, registration, PreparedDataset(workspace / "prepared"))


def test_long_clips_are_refused_before_the_training_and_before_a_download(workspace: Path, tmp_path: Path) -> None:
    size = {"rate": 1024, "samples": 1536, "frame_length": 128, "frame_step": 48}
    long = PreparedDataset(replace(SOUND, prepare=size).prepared(tmp_path, last=40))
    registration = SOUND.parameters()["register"] | {"score": "fad"}
    with pytest.raises(InvalidInput, match=r"shorter than 1\.5 seconds.*Received: .*1536 samples at 1024 Hz"):
        check((workspace / "settings.json").read_text(), json.dumps(registration), long, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

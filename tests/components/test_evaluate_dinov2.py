"""The evaluate command on images with a small DINOv2 network of random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from datasets import blobs, write_dataset
from dinov2_weights import SMALL, random_dinov2
from evaluate_runs import SETTINGS, write_generator
from recipes import project_parameters

from components import evaluate
from gan_core.config import EvaluateConfig, RegisterConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.extractors import build
from gan_core.evaluation.extractors.dinov2 import Dinov2Extractor
from gan_core.evaluation.extractors.weights import DINOV2, Weights
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.record_checks import find_faults, has_standard_error
from gan_core.evaluation.requirements import check_data, check_sections
from gan_core.exit_codes import run

QUICK = {"extractor": "dinov2", "metrics": ["fid", "kid"], "samples": 8, "sampling_seeds": 1, "kid_subset_size": 4}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images without labels in `prepared`, and a generator in `generator`."""
    folder = tmp_path_factory.mktemp("dinov2")
    write_dataset(folder / "prepared", blobs(20, 16), blobs(12, 16), classes=0)
    write_generator(folder / "generator")
    return folder


def evaluation_with(digest: str, workspace: Path) -> Evaluation:
    options = {"--config": json.dumps(SETTINGS | QUICK), "--real": "prepared", "--generated": "generator"}
    options |= {"--scores": "scores.json", "--report": "report.html", "--cache": "cache"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        patch.setattr(build, "load_weights", lambda *_: Weights(digest, random_dinov2()))
        patch.setattr(Dinov2Extractor.__init__, "__defaults__", (SMALL,))
        patch.setattr(sys, "argv", ["evaluate", *(word for option in options.items() for word in option)])
        run(evaluate.main)
    return Evaluation.parse((workspace / "scores.json").read_text(), "")


def test_only_the_published_weights_give_a_score_of_the_name_fd_dinov2(workspace: Path) -> None:
    published = evaluation_with(f"sha256-{DINOV2.sha256}", workspace)
    report = (workspace / "report.html").read_text()
    other = evaluation_with("sha256-other", workspace)
    assert set(published.scores) == {"fd_dinov2", "kid_dinov2", "diversity_dinov2"}
    assert set(other.scores) == {f"{metric}_dinov2_unverified" for metric in ("fd", "kid", "diversity")}
    assert published.scores["fd_dinov2"] == other.scores["fd_dinov2_unverified"] > 0
    assert published.standard_errors.keys() == {"fd_dinov2", "kid_dinov2"}
    assert find_faults(published) == []
    assert has_standard_error("fd_dinov2")
    assert published.protocol.resize == "pillow_bicubic_224"
    assert "pillow_bicubic_224" in report
    assert "fd_dinov2" in report
    difference, digests = published.protocol.differences(other.protocol)
    assert "extractor: dinov2, not dinov2_unverified" in difference
    assert DINOV2.sha256 in digests


@pytest.mark.parametrize(("score", "samples"), [("fd_dinov2", 8), ("kid_dinov2", 8), ("fd_infinity_dinov2", 200)])
def test_the_scores_of_dinov2_can_decide_at_registration(workspace: Path, score: str, samples: int) -> None:
    evaluation = EvaluateConfig.parse(SETTINGS | QUICK | {"samples": samples})
    registration = RegisterConfig.parse(project_parameters()["register"] | {"score": score})
    check_sections(evaluation, registration)
    check_data(evaluation, registration, PreparedDataset(workspace / "prepared"))

"""The evaluate command: its outputs, and every kind of real and generated images."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs
from evaluate_runs import SIDE, Workspace
from PIL import Image

from gan_core.evaluation.protocol import Evaluation


def test_the_command_writes_scores_a_report_and_statistics(
    workspace: Workspace, process: subprocess.CompletedProcess[str]
) -> None:
    assert process.returncode == 0, process.stderr
    record = Evaluation.parse(workspace.folder.joinpath("scores.json").read_text(), "")
    assert set(record.scores) == set(record.spread) >= {"fd_classifier", "kid_classifier", "precision_classifier"}
    assert all(np.isfinite(list(record.scores.values())))
    assert record.spread["fd_classifier"] > 0
    for name in ("fd_classifier", "kid_classifier"):
        assert record.standard_errors[name] > 0
        assert record.intervals[name].low < record.scores[name] < record.intervals[name].high
    assert [entry.name for entry in record.classes] == ["0", "1"]
    assert sum(entry.generated_share for entry in record.classes) == pytest.approx(1)
    assert record.extractor_accuracy > 0.9
    protocol = record.protocol
    assert (protocol.samples, protocol.sampling_seeds, protocol.reference_count) == (90, (3, 4), 80)
    assert (protocol.reference, protocol.resize, protocol.kid_subset_size) == ("held_out", "none", 80)
    assert (record.images_seen, record.tracking_run_id) == (640, None)
    assert any("90 generated" in sentence for sentence in record.warnings)
    report = workspace.folder.joinpath("report.html").read_text()
    assert "<h1>Generator report</h1>" in report
    data = f"synthetic (data {record.protocol.reference_digest[:19]})"
    assert f"Generator {record.generator_digest[:19]} compared with 80 held-out images of {data}" in report
    assert np.load(workspace.folder / "statistics.npz")["mu"].shape == (64,)
    for name in record.scores:
        assert name in process.stdout
    assert "warning: There are only 80 real and 90 generated images" in process.stdout
    assert f"accuracy of the classifier: {record.extractor_accuracy:.1%} of held-out images" in process.stdout
    assert "generated: " in process.stderr  # the progress line


def test_a_repeated_evaluation_gives_the_same_scores(
    workspace: Workspace, process: subprocess.CompletedProcess[str]
) -> None:
    record = Evaluation.parse(workspace.folder.joinpath("scores.json").read_text(), "")
    again = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator)
    assert again.protocol == record.protocol
    assert again.scores == pytest.approx(record.scores, rel=1e-5)


def test_cached_features_and_a_cached_classifier_are_not_computed_again(
    workspace: Workspace, process: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.evaluate("--real", workspace.data, "--generated", workspace.generator)
    shown = capsys.readouterr().err
    assert "generated: " in shown
    assert "classifier: " not in shown
    assert "real: " not in shown


def test_a_classifier_that_is_not_cached_shows_its_progress(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.evaluate(
        "--real", workspace.data, "--generated", workspace.generator, "--cache", tmp_path, metrics=["fid"]
    )
    assert "classifier: " in capsys.readouterr().err


@pytest.mark.parametrize("trial", ["", "learning_rate=0.0002, seed=1"])
def test_kubeflows_page_shows_the_trial_with_the_scores(workspace: Workspace, tmp_path: Path, trial: str) -> None:
    outputs = {"scores": {"artifacts": [{"name": "scores", "uri": "gs://bucket/scores"}]}}
    given = {"outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "output.json")}}
    sides = ["--real", workspace.data, "--generated", workspace.generator]
    record = workspace.evaluate(*sides, "--trial", trial, "--executor-input", json.dumps(given), sampling_seeds=1)
    output = json.loads((tmp_path / "output.json").read_text())
    shown = record.scores | ({"trial": trial} if trial else {})
    assert output["artifacts"]["scores"]["artifacts"][0]["metadata"] == shown


def test_one_sampling_seed_gives_no_spread(workspace: Workspace) -> None:
    record = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator, sampling_seeds=1)
    assert set(record.spread.values()) == {0.0}


def test_images_in_files_have_the_scores_of_their_generator(workspace: Workspace) -> None:
    drawn = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator, sampling_seeds=1).scores
    folder = workspace.evaluate("--real", workspace.data, "--generated", workspace.images)
    archive = workspace.evaluate("--real", workspace.data, "--generated", workspace.folder / "images.zip")
    assert folder.scores == archive.scores
    # The files have another order than the generator's images. It changes rounding and the subsets.
    for name in ("fd_classifier", "precision_classifier", "recall_classifier", "coverage_classifier"):
        assert folder.scores[name] == pytest.approx(drawn[name], rel=1e-4)
    assert folder.protocol.sampling_seeds == ()
    assert folder.protocol.samples == 90
    assert folder.images_seen == 0


def test_a_data_set_compared_with_itself_has_perfect_scores(workspace: Workspace) -> None:
    record = workspace.evaluate("--real", workspace.data, "--generated", workspace.data)
    assert record.scores["fd_classifier"] == pytest.approx(0, abs=1e-6)
    assert record.scores["coverage_classifier"] == 1


def test_the_untrained_network_scores_unlabelled_data_and_image_files(workspace: Workspace) -> None:
    record = workspace.evaluate("--real", workspace.unlabelled, "--generated", workspace.generator, extractor="random")
    assert {"fd_random", "kid_random", "precision_random", "train_gap_random"} <= set(record.scores)
    assert not any("class" in name or name.startswith("fid") for name in record.scores)
    assert (record.protocol.extractor, record.protocol.resize) == ("random", "antialiased_64")
    assert record.classes == ()
    archive = workspace.folder / "images.zip"
    images = workspace.evaluate(
        "--real", workspace.images, "--generated", archive, "--metrics", "fid,kid", extractor="random"
    )
    assert images.scores["fd_random"] == pytest.approx(0, abs=1e-6)
    assert {name.split("_")[0] for name in images.scores} == {"fd", "kid", "diversity"}


@pytest.mark.parametrize(
    "content", ['{"name": "An app", "icons": []}', '[{"file": "1.png"}]', '{"latent_size": 8}', "7"]
)
def test_a_folder_with_json_files_of_another_program_is_a_folder_of_images(workspace: Workspace, content: str) -> None:
    (workspace.folder / "foreign").mkdir(exist_ok=True)
    for number, image in enumerate(blobs(6, SIDE)):
        Image.fromarray(image[:, :, 0]).save(workspace.folder / "foreign" / f"{number}.png")
    (workspace.foreign / "manifest.json").write_text(content)
    (workspace.foreign / "generator.json").write_text(content)
    settings = {"extractor": "random", "metrics": ["fid"]}
    record = workspace.evaluate("--real", workspace.foreign, "--generated", workspace.foreign, **settings)
    assert (record.protocol.reference, record.protocol.reference_count, record.protocol.samples) == ("files", 6, 6)


def test_only_the_requested_metrics_are_computed(workspace: Workspace) -> None:
    whole = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator, "--metrics", "fid")
    assert set(whole.scores) == {
        "fd_classifier",
        "diversity_classifier",
        "class_shift_classifier",
        "inception_score_classifier",
    }


def test_another_seed_changes_the_scores_and_only_the_seeds_of_the_protocol(workspace: Workspace) -> None:
    first = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator)
    other = workspace.evaluate("--real", workspace.data, "--generated", workspace.generator, seed=5)
    assert first.scores["fd_classifier"] != other.scores["fd_classifier"]
    assert first.protocol.differences(other.protocol) == ["sampling_seeds: (3, 4), not (5, 6)"]

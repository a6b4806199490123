"""The evaluate command: its outputs, and every kind of real and generated images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs
from evaluate_runs import SIDE, Place
from PIL import Image

from gan_core.evaluation.protocol import Evaluation


def test_scores_report_statistics_and_a_table(place: Place, process: subprocess.CompletedProcess[str]) -> None:
    assert process.returncode == 0, process.stderr
    record = Evaluation.parse(place.folder.joinpath("scores.json").read_text(), "")
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
    assert "<h1>Generator report</h1>" in place.folder.joinpath("report.html").read_text()
    assert np.load(place.folder / "statistics.npz")["mu"].shape == (64,)
    for name in record.scores:
        assert name in process.stdout
    assert "warning: There are only 90 generated images" in process.stdout
    assert f"accuracy of the classifier: {record.extractor_accuracy:.1%} of held-out images" in process.stdout
    assert "generated: " in process.stderr  # its progress


def test_twice_the_same_record(place: Place, process: subprocess.CompletedProcess[str]) -> None:
    record = Evaluation.parse(place.folder.joinpath("scores.json").read_text(), "")
    again = place.evaluate("--real", place.data, "--generated", place.generator)
    assert again.protocol == record.protocol
    assert again.scores == pytest.approx(record.scores, rel=1e-5)


def test_what_was_computed_is_not_computed_again(
    place: Place, process: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.evaluate("--real", place.data, "--generated", place.generator)
    shown = capsys.readouterr().err
    assert "generated: " in shown
    assert "classifier: " not in shown
    assert "real: " not in shown


def test_a_classifier_that_is_not_cached_shows_its_progress(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.evaluate("--real", place.data, "--generated", place.generator, "--cache", tmp_path, metrics=["fid"])
    assert "classifier: " in capsys.readouterr().err


def test_one_seed_has_no_spread(place: Place) -> None:
    record = place.evaluate("--real", place.data, "--generated", place.generator, sampling_seeds=1)
    assert set(record.spread.values()) == {0.0}


def test_images_in_files_score_as_their_generator(place: Place) -> None:
    drawn = place.evaluate("--real", place.data, "--generated", place.generator, sampling_seeds=1).scores
    folder = place.evaluate("--real", place.data, "--generated", place.images)
    archive = place.evaluate("--real", place.data, "--generated", place.folder / "images.zip")
    assert folder.scores == archive.scores
    # The files' order is not the generator's, which only sums and subsets notice.
    for name in ("fd_classifier", "precision_classifier", "recall_classifier", "coverage_classifier"):
        assert folder.scores[name] == pytest.approx(drawn[name], rel=1e-4)
    assert folder.protocol.sampling_seeds == ()
    assert folder.protocol.samples == 90
    assert folder.images_seen == 0


def test_a_data_set_against_itself(place: Place) -> None:
    record = place.evaluate("--real", place.data, "--generated", place.data)
    assert record.scores["fd_classifier"] == pytest.approx(0, abs=1e-6)
    assert record.scores["coverage_classifier"] == 1


def test_unlabelled_data_and_bare_images_with_the_untrained_network(place: Place) -> None:
    record = place.evaluate("--real", place.unlabelled, "--generated", place.generator, extractor="random")
    assert {"fd_random", "kid_random", "precision_random", "train_gap_random"} <= set(record.scores)
    assert not any("class" in name or name.startswith("fid") for name in record.scores)
    assert (record.protocol.extractor, record.protocol.resize) == ("random", "antialiased_64")
    assert record.classes == ()
    archive = place.folder / "images.zip"
    images = place.evaluate("--real", place.images, "--generated", archive, "--metrics", "fid,kid", extractor="random")
    assert images.scores["fd_random"] == pytest.approx(0, abs=1e-6)
    assert {name.split("_")[0] for name in images.scores} == {"fd", "kid", "diversity"}


@pytest.mark.parametrize(
    "content", ['{"name": "An app", "icons": []}', '[{"file": "1.png"}]', '{"latent_size": 8}', "7"]
)
def test_images_with_a_document_of_another_format_are_images(place: Place, content: str) -> None:
    (place.folder / "foreign").mkdir(exist_ok=True)
    for number, image in enumerate(blobs(6, SIDE)):
        Image.fromarray(image[:, :, 0]).save(place.folder / "foreign" / f"{number}.png")
    (place.foreign / "manifest.json").write_text(content)
    (place.foreign / "generator.json").write_text(content)
    settings = {"extractor": "random", "metrics": ["fid"]}
    record = place.evaluate("--real", place.foreign, "--generated", place.foreign, **settings)
    assert (record.protocol.reference, record.protocol.reference_count, record.protocol.samples) == ("files", 6, 6)


def test_only_the_metrics_asked_for(place: Place) -> None:
    whole = place.evaluate("--real", place.data, "--generated", place.generator, "--metrics", "fid")
    assert set(whole.scores) == {
        "fd_classifier",
        "diversity_classifier",
        "class_shift_classifier",
        "inception_score_classifier",
    }


def test_another_seed_is_another_score_of_the_same_protocol_but_for_it(place: Place) -> None:
    first = place.evaluate("--real", place.data, "--generated", place.generator)
    other = place.evaluate("--real", place.data, "--generated", place.generator, seed=5)
    assert first.scores["fd_classifier"] != other.scores["fd_classifier"]
    assert first.protocol.differences(other.protocol) == ["sampling_seeds: (3, 4), not (5, 6)"]

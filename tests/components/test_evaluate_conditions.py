"""The evaluate command on conditional generators and on paired generators."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluate_runs import SETTINGS, SIDE
from generators import generator_metadata

from components import evaluate
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.evaluation.protocol import Evaluation
from gan_core.exit_codes import run
from gan_core.export import save_generator
from gan_core.sampling import draw_labels

CONDITIONAL_SETTINGS = SETTINGS | {"metrics": ["fid"], "samples": 220, "batch_size": 64}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Light and dark images with and without pairs, and a conditional, a paired and a plain generator."""
    configure_tensorflow()
    import keras

    folder = tmp_path_factory.mktemp("conditions")
    images = blobs(400, SIDE)
    images[1::2] = 255 - images[1::2]
    write_dataset(folder / "data", images[:160], images[160:], classes=2)
    write_dataset(folder / "pairs", images[:160], images[160:], classes=2, pairs="super_resolution")

    latents = keras.Input((2,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    inputs = keras.Input((SIDE, SIDE, 1), name="inputs")
    small = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.01))
    noise = keras.layers.UpSampling2D(SIDE)(keras.layers.Reshape((1, 1, 1))(small(latents)))
    # Class 0 is all dark, class 1 all light.
    which = keras.layers.Dense(1, use_bias=False, name="which")
    shade = which(keras.layers.CategoryEncoding(2, output_mode="one_hot")(labels))
    flat = keras.layers.Add()([noise, keras.layers.Reshape((1, 1, 1))(shade)])
    conditional = keras.Model([latents, labels], flat)
    which.set_weights([np.array([[-0.9], [0.9]])])
    same = keras.Model([latents, inputs], keras.layers.Add()([inputs, noise]))
    plain = keras.Model(latents, noise)

    def save(name: str, model: Any, **changes: Any) -> None:
        save_generator(
            folder / name, model, generator_metadata(**({"latent_size": 2, "shape": (SIDE, SIDE, 1)} | changes))
        )

    save("conditional", conditional, classes=("0", "1"), class_shares=(0.5, 0.5))
    save("swapped", conditional, classes=("1", "0"), class_shares=(0.5, 0.5))
    save("paired", same, paired=True)
    save("plain", plain)
    return folder


def run_evaluate(workspace: Path, real: str, generated: str, *options: str, **settings: Any) -> tuple[Evaluation, str]:
    """Runs the command and returns the record and the report."""
    arguments = ["--config", json.dumps(CONDITIONAL_SETTINGS | settings), "--cache", str(workspace / "cache"), *options]
    arguments += ["--real", str(workspace / real), "--generated", str(workspace / generated)]
    arguments += ["--scores", str(workspace / "scores.json"), "--report", str(workspace / "report.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluate", *arguments])
        run(evaluate.main)
    return Evaluation.parse((workspace / "scores.json").read_text(), ""), (workspace / "report.html").read_text()


def test_a_class_is_scored_on_the_images_requested_for_it(workspace: Path) -> None:
    record, report = run_evaluate(workspace, "data", "conditional")
    assert record.scores["class_agreement_classifier"] > 0.99
    shares = [entry.generated_share for entry in record.classes]
    assert shares == pytest.approx([np.mean(draw_labels(220, (0.5, 0.5), 3) == label) for label in (0, 1)])
    assert ", by requested class" in report
    assert not any(name.startswith("target") for name in record.scores)


@pytest.mark.parametrize("extractor", ["classifier", "random"])
def test_the_classes_of_real_and_generated_images_are_recognised(
    extractor: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, report = run_evaluate(workspace, "data", "conditional", extractor=extractor)
    totals = record.class_accuracy.totals()
    assert {name: total.count for name, total in totals.items()} == {"real": 240, "generated": 440}  # of two seeds
    labels = np.concatenate([draw_labels(220, (0.5, 0.5), seed) for seed in (3, 4)])
    assert [entry.count for entry in record.class_accuracy.generated] == np.bincount(labels).tolist()
    if extractor == "classifier":
        assert totals["generated"].share == pytest.approx(record.scores["class_agreement_classifier"])
        assert totals["real"].share == pytest.approx(record.extractor_accuracy)
    assert totals["generated"].share > 0.99
    assert "<h2>Class accuracy</h2>" in report
    assert record.class_accuracy.sentence("image") in capsys.readouterr().out


def test_labels_are_ignored_if_the_generators_classes_differ_from_the_datas(workspace: Path) -> None:
    record, report = run_evaluate(workspace, "data", "swapped")
    assert "class_agreement_classifier" not in record.scores
    assert record.class_accuracy is None
    assert "Class accuracy" not in report
    assert ", as predicted by the classifier" in report


def test_a_paired_generator_is_compared_with_its_targets(workspace: Path) -> None:
    record, report = run_evaluate(workspace, "pairs", "paired")
    shards = [np.load(workspace / "pairs" / f"held_out-00000{part}.npy").astype(float) for part in ("-inputs", "")]
    expected = np.abs(shards[0] - shards[1]).mean()
    # The noise of 0.01 changes grey levels by one or two, and differs between the sampling seeds.
    assert record.scores["target_l1"] == pytest.approx(expected, abs=2)
    assert record.spread["target_l1"] > 0
    assert 10 < record.scores["target_psnr"] < 40
    assert 0 < record.scores["target_ssim"] < 1
    assert record.metrics()["scores/target_l1"] == record.scores["target_l1"]
    assert "Input, generated image and target" in report
    assert 'alt="21 generated images, each between its input and its target"' in report


def test_a_champion_of_another_kind_has_no_target_scores_or_is_not_evaluated(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compared, _ = run_evaluate(workspace, "pairs", "paired", "--champion", str(workspace / "plain"))
    assert compared.champion is not None
    assert "target_l1" not in compared.champion.scores
    other, report = run_evaluate(workspace, "data", "plain", "--champion", str(workspace / "paired"))
    assert other.champion is None
    assert "cannot be evaluated: A paired generator needs input images" in capsys.readouterr().out
    assert "cannot be evaluated" in report


def test_a_paired_generator_requires_a_data_set_of_pairs(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_evaluate(workspace, "data", "paired")
    assert ended.value.code == 2
    assert "on a prepared data set with pairs (prepare.image.pairs). Received: " in capsys.readouterr().err

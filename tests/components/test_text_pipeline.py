"""The commands of all stages, one after the other, on files of texts; then the registered model answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from recipes import project_parameters, small_evaluation, small_parameters
from test_paired_pipeline import stage

from gan_core.evaluation.protocol import Evaluation

TEXT_NETWORK = {"network": "text", "normalization": "none", "growth": 1, "depth": 1}
PENALTY = {"loss": "wasserstein", "gradient_penalty_weight": 10.0, "discriminator_steps": 2}


def write_texts(folder: Path, count: int = 100) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, letters in (("vowels", "aeiouäé"), ("consonants", "bcdfg")):
        texts = {"".join(random.choice(list(letters), random.integers(3, 9))) for _ in range(count)}
        (folder / f"{name}.txt").write_text("\n".join(sorted(texts)), encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
@pytest.mark.filterwarnings("ignore:.*Inferred schema contains integer column:UserWarning")
def test_a_generator_of_texts_is_trained_scored_registered_and_served(tmp_path: Path) -> None:
    write_texts(tmp_path / "raw")
    parameters = project_parameters()
    parameters["prepare"] |= {"source": "raw"}
    parameters["train"] = small_parameters(**TEXT_NETWORK, **PENALTY, score_every_images=200, score_samples=20)
    parameters["evaluate"] = small_evaluation("ngram")
    parameters["register"]["score"] = "fd_ngram"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    stage(tmp_path, "prepare", "--data", "raw", "--dataset", "data")
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())
    assert manifest["shape"] == [8, 1, 1]
    assert manifest["codec"]["alphabet"] == "abcdefgiouäé"
    assert manifest["settings"]["text.max_length"] == 32
    outputs = ("--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png")
    stage(tmp_path, "train", "--dataset", "data", "--model", "model", *outputs)
    for picture in ("data/preview.png", "samples.png"):
        with Image.open(tmp_path / picture) as grid:
            assert np.asarray(grid).min() < 100  # letters on white
    scored = ("--real", "data", "--generated", "model", "--history", "history.csv")
    stage(tmp_path, "evaluate", *scored, "--scores", "scores.json", "--report", "report.html")
    record = Evaluation.parse((tmp_path / "scores.json").read_text(), "scores.json")
    assert record.scores["fd_ngram"] > 0
    assert record.texts.count == manifest["counts"]["held_out"] // 2
    # After 30 steps, the letters are still nearly random, and a language model is far ahead.
    assert record.texts.leaders()["fd_ngram"] == "language_model"
    assert record.texts.real.means["fd_ngram"] < record.texts.generated.means["fd_ngram"]
    assert record.metrics()["scores/texts/language_model/valid"] == 1
    page = (tmp_path / "report.html").read_text()
    assert record.texts.sentence() in page
    assert page.count("<th>Nearest</th>") == 2  # a table for each class
    stage(tmp_path, "register", "--model", "model", "--scores", "scores.json", "--registration", "registration.json")

    import mlflow.pyfunc
    import pandas as pd

    from components.registry.model_package import save_served_model
    from gan_core.export import load_generator, read_metadata

    save_served_model(tmp_path / "served", tmp_path / "model", read_metadata(tmp_path / "model"))
    request = pd.DataFrame([{"count": 5, "seed": 3, "label": "vowels"}])
    answers = mlflow.pyfunc.load_model(str(tmp_path / "served")).predict(request)
    generator = load_generator(tmp_path / "model")
    arrays = generator.sample(5, 3, conditions=np.ones(5, np.int32).__getitem__)
    assert generator.metadata.classes == ("consonants", "vowels")
    assert answers == [generator.metadata.codec.text(array) for array in arrays]
    assert all(isinstance(answer, str) for answer in answers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "dcgan"}, "train.network' must be text for texts.*Received: network='dcgan'"),
        ({"augment": ["cutout"], "augment_probability": 0.5}, "train.augment' must be made of nothing.*modality text"),
    ],
)
def test_what_texts_cannot_have_is_refused_before_the_training(changes, message, tmp_path: Path) -> None:
    write_texts(tmp_path / "raw")
    parameters = project_parameters()
    parameters["prepare"] |= {"source": "raw"}
    parameters["train"] = small_parameters(**{**TEXT_NETWORK, **changes})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    stage(tmp_path, "prepare", "--data", "raw", "--dataset", "data")

    from components.training.build import training_images
    from gan_core.config import TrainConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.errors import InvalidInput

    with pytest.raises(InvalidInput, match=message):
        training_images(TrainConfig.parse(parameters["train"]), PreparedDataset(tmp_path / "data"))

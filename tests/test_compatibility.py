"""Files of an earlier version of this project are still read: data, generator, scores, checkpoint, MLflow versions.

`fixtures/e873eab.tar.xz` holds the results of `dvc exp run` at commit e873eab: a training of 40 small steps on the
digits, registered as version 1 and champion of the model `generator`. Its database names a folder that does not exist
here, as if the project had been moved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from components.registry.warm_start import RANDOM, find_initial
from components.training.code_digests import code_digests
from components.training.identity import identify
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.export import generator_digest, load_generator
from gan_core.training.checkpoints import Checkpoints

FIXTURE = Path(__file__).parent / "fixtures" / "e873eab.tar.xz"
IMAGES_SEEN = 640


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(FIXTURE) as archive:
        # Python 3.11.2 has no filters; the file is this project's own.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    folder = tmp_path / "project"
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_data_and_generator_are_read(project: Path) -> None:
    dataset = PreparedDataset(project / "prepared")
    assert dataset.split("train").count + dataset.split("held_out").count == 1797
    drawn = load_generator(project / "generator").sample(4, seed=0)
    # Another processor may round differently.
    assert np.abs(drawn.astype(int) - np.load(project / "samples.npy")).max() <= 1


def test_a_training_resumes_from_the_checkpoint_and_another_one_starts_from_the_champion(project: Path) -> None:
    from gan_core.training.batches import RealBatches
    from gan_core.training.loop import Training
    from gan_core.training.state import Gan
    from gan_core.training.warm_start import start_from

    dataset = PreparedDataset(project / "prepared")
    values = yaml.safe_load((project / "params.yaml").read_text())["train"]
    config = TrainConfig.parse(values).resolved(labelled=True)

    def gan() -> Gan:
        return Gan(config, dataset.manifest.shape, len(dataset.manifest.classes))

    (folder,) = (project / "checkpoints").iterdir()
    with Checkpoints(folder, kept=3) as checkpoints:
        resumed = Training(gan(), RealBatches(dataset.split("train"), config), checkpoints)
        assert resumed.resume()
    assert resumed.gan.images_seen == IMAGES_SEEN
    assert "losses/generator" in resumed.history[0]

    initial = find_initial("models:/generator@champion")
    fresh = gan()
    start_from(fresh, initial.content, initial.name)
    for ours, theirs in zip(fresh.generator.weights, resumed.gan.generator.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_the_command_resumes_a_copied_checkpoint_of_other_code(project: Path) -> None:
    """Other code has another key, since it may give other weights. The message says how to continue nevertheless."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"]["steps"] += 1
    params["register"] |= {"data_licence": "auto", "intended_use": "Tests."}  # it is older than these parameters
    (project / "longer.yaml").write_text(yaml.safe_dump(params))
    dataset = PreparedDataset(project / "prepared")
    config = TrainConfig.parse(params["train"]).resolved(labelled=True)
    now = identify(config, dataset.manifest.digest, RANDOM.digest, code_digests(), xla=False, mixed_precision=False)
    message = now.start_message(Path("checkpoints"), 0, IMAGES_SEEN + config.batch_size, "images")
    assert "changed since then: the code, since an earlier version of this project wrote them." in message
    _, _, command = message.partition(" stop this training and copy them: ")
    Path("checkpoints", now.key).mkdir()
    subprocess.run(command.split(), check=True)

    places = {name: name for name in ("checkpoints", "model", "history", "samples")}
    line = [sys.executable, "-m", "components.train", "--config", "longer.yaml", "--dataset", "prepared"]
    line += [word for name, place in places.items() for word in (f"--{name}", place)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"The training resumes after {IMAGES_SEEN} of {IMAGES_SEEN + config.batch_size} images" in done.stderr


def test_a_better_score_replaces_the_champion(project: Path) -> None:
    """The scores lack the generator's digest, so users must evaluate again. This test only adds the digest."""
    scores = project / "reports/scores.json"
    record = json.loads(scores.read_text())
    record["scores"]["fd_classifier"] *= 0.5
    record["intervals"] = {}
    record["generator_digest"] = generator_digest(project / "generator")
    scores.write_text(json.dumps(record))
    config = {"model_name": "generator", "score": "fd_classifier", "minimum_improvement": 0.01, "spread_multiplier": 2}
    config |= {"data_licence": "auto", "intended_use": "Tests."}
    command = ["-m", "components.register", "--config", json.dumps(config), "--model", "generator"]
    run(project, *command, "--scores", str(scores), "--registration", "reports/registration.json")
    decision = json.loads((project / "reports/registration.json").read_text())
    assert (decision["version"], decision["decision"], decision["champion"]) == ("2", "champion", "1")


def test_the_registered_version_is_served(project: Path) -> None:
    code = """
from components.tracking.server import connect
connect()
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/generator@champion")
print(model.predict(pandas.DataFrame([{"count": 4, "seed": 0}])).shape)"""
    assert run(project, "-c", code).endswith("(4, 16, 16, 1)\n")


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

"""The commands of all stages, one after the other, on a folder of sounds; then the registered model answers."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from recipes import project_parameters, small_evaluation, small_parameters
from test_paired_pipeline import stage

from gan_core.export import read_metadata

AUDIO = {"rate": 1000, "samples": 256, "frame_length": 32, "frame_step": 16}


def write_clips(folder: Path, count: int = 60) -> None:
    random = np.random.default_rng(0)
    for name, frequency in (("high", 300), ("low", 100)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            time = np.arange(230) / 1000
            clip = random.uniform(0.3, 0.9) * np.sin(2 * np.pi * frequency * random.uniform(0.9, 1.1) * time)
            soundfile.write(folder / name / f"{index}.flac", clip, 1000)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
@pytest.mark.filterwarnings("ignore:.*Inferred schema contains integer column:UserWarning")
def test_a_generator_of_sound_is_trained_scored_registered_and_served(tmp_path: Path) -> None:
    write_clips(tmp_path / "raw")
    parameters = project_parameters()
    parameters["prepare"] |= {"source": "raw"}
    parameters["prepare"]["audio"] |= AUDIO
    parameters["train"] = small_parameters(
        score_every_images=100, score_samples=20, augment=["time_translation"], augment_probability=0.5
    )
    parameters["evaluate"] = small_evaluation("random")
    parameters["register"]["score"] = "fd_random"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    stage(tmp_path, "prepare", "--data", "raw", "--dataset", "data")
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())
    assert manifest["shape"] == [16, 16, 1]
    assert manifest["settings"]["audio.rate"] == 1000
    assert not [name for name in manifest["settings"] if name.startswith("image.")]
    outputs = ("--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png")
    stage(tmp_path, "train", "--dataset", "data", "--model", "model", *outputs)
    for path in (tmp_path / "mlruns").rglob("sounds/*/*.wav"):
        clip, rate = soundfile.read(path, dtype="int16")
        assert (len(clip), rate) == (256, 1000)
    played = {path.relative_to(path.parents[1]).as_posix() for path in (tmp_path / "mlruns").rglob("*.wav")}
    moments = {0, 104, 200, read_metadata(tmp_path / "model").images_seen}  # the last is that of the best score
    assert played == {f"{moment:09}/samples-{number}.wav" for moment in moments for number in (1, 2)}  # one a class
    scored = ("--real", "data", "--generated", "model", "--history", "history.csv")
    stage(tmp_path, "evaluate", *scored, "--scores", "scores.json", "--report", "report.html")
    floor = json.loads((tmp_path / "scores.json").read_text())["codec_floor"]
    names = ["real, through the codec", "real, untouched", "training items, untouched", "generated, decoded"]
    assert [row["name"] for row in floor] == names
    assert len({row["count"] for row in floor}) == 1
    page = (tmp_path / "report.html").read_text()
    assert page.count('src="data:audio/wav;base64,') == 32  # 16 generated clips and their nearest training clips
    stage(tmp_path, "register", "--model", "model", "--scores", "scores.json", "--registration", "registration.json")

    import mlflow.pyfunc
    import pandas as pd

    from components.registry.model_package import save_served_model
    from gan_core.export import load_generator

    save_served_model(tmp_path / "served", tmp_path / "model", read_metadata(tmp_path / "model"))
    request = pd.DataFrame([{"count": 2, "seed": 3, "label": "low"}])
    answers = mlflow.pyfunc.load_model(str(tmp_path / "served")).predict(request)
    generator = load_generator(tmp_path / "model")
    arrays = generator.sample(2, 3, conditions=np.array([1, 1], np.int32).__getitem__)
    for answer, clip in zip(answers, generator.metadata.codec.decode(arrays), strict=True):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(answer["wav"])), dtype="int16")
        assert rate == answer["rate"] == 1000
        assert np.array_equal(samples, clip)

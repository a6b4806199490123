"""The stages keep the same promises for every modality, from raw files to the served champion's successor."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from modalities import EXAMPLES, Example
from PIL import Image

from components import choose, drift, evaluate, prepare, register, train
from components.registry.model_package import save_served_model
from gan_core.codecs import CODECS, codec_of
from gan_core.data.manifest import Manifest
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import load_generator, read_metadata
from gan_core.provenance import SOURCE_TYPE

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow and Keras warn on import and on load


def run(stage: Any, *options: str, **sections: Any) -> tuple[str, str]:
    """Runs a command in this process; `sections` replace params.yaml. Returns what it printed."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [stage.__name__, "--config", sections.get("config", "params.yaml"), *options])
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            stage.main()
    return output.getvalue(), errors.getvalue()


def run_all(folder: Path, *, raw: Path, example: Example, **changes: Any) -> None:
    """Prepares the raw data, trains, evaluates and registers in `folder`, which is the working directory then.

    What the commands print is in printed.txt.
    """
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    if raw != folder / "raw":
        shutil.copytree(raw, folder / "raw")
    (folder / "params.yaml").write_text(yaml.safe_dump(example.parameters(**changes)))
    printed = run(prepare, "--dataset", "data")
    outputs = ("--checkpoints", "checkpoints", "--history", "history.csv", "--samples", "samples.png")
    printed += run(train, "--dataset", "data", "--model", "model", "--champion", "params.yaml", *outputs)
    scored = ("--real", "data", "--generated", "model", "--history", "history.csv", "--champion", "params.yaml")
    printed += run(evaluate, *scored, "--scores", "scores.json", "--report", "report.html", "--cache", "cache")
    printed += run(register, "--model", "model", "--scores", "scores.json", "--registration", "registration.json")
    (folder / "printed.txt").write_text("\n".join(printed))


@pytest.fixture(scope="module", params=EXAMPLES, ids=str)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


@pytest.fixture(scope="module")
def first(example: Example, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder after its first training."""
    folder, here = tmp_path_factory.mktemp(example.modality) / "project", Path.cwd()
    folder.mkdir()
    shutil.copy(mlflow_database, folder / "mlflow.db")
    example.write(folder / "raw", 0, 120, False)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        run_all(folder, raw=folder / "raw", example=example, score_every_images=120, score_samples=20)
    os.chdir(here)
    return folder


@pytest.fixture(autouse=True)
def _own_folder(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in its own folder, with its own copy of MLflow's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def registration(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "registration.json").read_text())


def test_the_manifest_records_this_modality_only(example: Example, first: Path) -> None:
    manifest = Manifest.parse((first / "data" / "manifest.json").read_text(), "")
    assert manifest.shape == example.shape
    nested = {name.partition(".")[0] for name in manifest.settings if "." in name}
    assert nested == {example.modality}


def test_a_person_reads_the_word_of_the_modality(example: Example, first: Path) -> None:
    page = re.sub(r"<style>.*?</style>|<code.*?</code>", "", (first / "report.html").read_text(), flags=re.DOTALL)
    read = [*re.findall(r"(?:alt|aria-label)=\"([^\"]*)", page), *re.findall(r">([^<>]+)<", page)]
    for text in (" ".join(read), (first / "printed.txt").read_text()):
        words = set(re.findall(r"\b(image|clip|text)s?\b", text.lower()))
        assert words == {{"image": "image", "audio": "clip", "text": "text"}[example.modality]}


def test_the_record_says_whether_classes_are_recognised(example: Example, first: Path) -> None:
    import mlflow

    record = Evaluation.parse((first / "scores.json").read_text(), "")
    totals, held_out = record.class_accuracy.totals(), record.protocol.reference_count
    counts = {"real": held_out, "codec": held_out, "generated": 60}  # 30 of each sampling seed
    lossy = CODECS[example.modality].lossy
    assert {name: total.count for name, total in totals.items()} == {
        name: count for name, count in counts.items() if name != "codec" or lossy
    }
    assert min(total.share for name, total in totals.items() if name != "generated") > 0.8
    client = mlflow.MlflowClient(f"sqlite:///{first / 'mlflow.db'}")
    logged = client.get_run(record.tracking_run_id).data.metrics
    assert logged["scores/class_accuracy_generated"] == totals["generated"].share
    assert logged["scores/intervals/class_accuracy_real/low"] == totals["real"].interval[0]


def test_the_first_generator_is_the_champion_and_is_served(example: Example, first: Path, tmp_path: Path) -> None:
    import mlflow.pyfunc

    assert (registration(first)["decision"], registration(first)["version"]) == ("champion", "1")
    save_served_model(tmp_path / "served", first / "model", read_metadata(first / "model"))
    served = mlflow.pyfunc.load_model(str(tmp_path / "served"))
    generator = load_generator(first / "model")
    answers = served.predict([{"count": 3, "seed": 5, "label": generator.metadata.classes[1]}])
    assert len(answers) == 3
    request = {"count": 1, "seed": 5, "format": "file"}
    if example.modality == "text":
        with pytest.raises(MlflowException, match="texts are no files"):
            served.predict([request])
    else:
        [drawn] = served.predict([request])
        assert drawn["type"] == {"image": "image/png", "audio": "audio/wav"}[example.modality]
        assert SOURCE_TYPE.encode() in base64.b64decode(drawn["file"])
    assert all(map(example.answers, answers))
    arrays = generator.sample(3, 5, conditions=np.ones(3, np.int32).__getitem__)
    np.testing.assert_array_equal(answers, codec_of(generator.metadata).answer(arrays))


def test_a_person_sees_or_hears_the_items(example: Example, first: Path) -> None:
    page = (first / "report.html").read_text()
    record = Evaluation.parse((first / "scores.json").read_text(), "scores.json")
    {"image": check_images, "audio": check_sounds, "text": check_texts}[example.modality](first, page, record)


def check_images(folder: Path, page: str, record: Evaluation) -> None:
    assert "data:audio" not in page
    assert (record.codec_floor, record.texts) == ((), None)
    with Image.open(folder / "samples.png") as grid:
        assert grid.mode == "L"


def check_sounds(folder: Path, page: str, record: Evaluation) -> None:
    clips = list((folder / "mlruns").rglob("sounds/*/*.wav"))
    for path in clips:
        clip, rate = soundfile.read(path, dtype="int16")
        assert (len(clip), rate) == (256, 1000)
    played = {path.relative_to(path.parents[1]).as_posix() for path in clips}
    moments = {0, 104, 200, read_metadata(folder / "model").images_seen}  # the last is that of the best score
    assert played == {f"{moment:09}/samples-{number}.wav" for moment in moments for number in (1, 2)}  # one a class
    names = ["real, through the codec", "real, untouched", "training, untouched", "generated, decoded"]
    assert [row.name for row in record.codec_floor] == names
    assert len({row.count for row in record.codec_floor}) == 1
    assert page.count('src="data:audio/wav;base64,') == 32  # 16 generated clips and their nearest training clips


def check_texts(folder: Path, page: str, record: Evaluation) -> None:
    manifest = Manifest.parse((folder / "data" / "manifest.json").read_text(), "")
    assert manifest.codec.alphabet == "abcdefgh"
    for picture in ("data/preview.png", "samples.png"):
        with Image.open(folder / picture) as grid:
            assert np.asarray(grid).min() < 100  # letters on white
    assert "<img" not in page  # the page shows texts as texts
    held_out = manifest.counts["held_out"]
    assert f'aria-label="{held_out} real texts"' in page
    assert record.texts.count == held_out // 2
    # After 30 steps, the letters are still nearly random, and a language model is far ahead.
    assert record.texts.leaders()["fd_ngram"] == "language_model"
    assert record.texts.real.means["fd_ngram"] < record.texts.generated.means["fd_ngram"]
    assert record.metrics()["scores/texts/language_model/valid"] == 1
    assert record.texts.sentence() in page
    assert "what other real texts reach with so many of them. It is a guide and no limit" in page
    assert page.count("<th>Nearest</th>") == 2  # a table for each class
    assert (record.texts.classes, record.texts.left_out) == ({}, ("closed", "open"))
    assert "No comparison by class for closed, open: a class needs 20 generated and training texts and 40 held" in page


def test_a_registered_version_is_the_start_of_its_successor(
    example: Example, first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = shutil.copytree(first, tmp_path / "project")
    example.write(project / "raw", 120, 200, False)
    for name in ("data", "model", "report.html", "registration.json"):
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with caplog.at_level("INFO"):
        run_all(project, raw=project / "raw", example=example, warm_start=f"models:/{example.model}/1")
    assert f"The training starts from the networks of version 1 of {example.model}." in caplog.text
    assert (registration(project)["version"], registration(project)["champion"]) == ("2", "1")
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    run = client.get_run(client.get_model_version(example.model, "2").run_id)
    assert run.data.tags["started_from"] == f"version 1 of {example.model}"


def test_drift_is_found_in_changed_items_and_not_in_more_of_the_same(example: Example, tmp_path: Path) -> None:
    sections = example.parameters()
    sections["drift"]["blocks"] = 4
    Path("params.yaml").write_text(yaml.safe_dump(sections))
    reference = example.prepared(tmp_path / "reference", 0, 400)
    for name, changed in (("more", False), ("changed", True)):
        data = example.prepared(tmp_path / name, 400, 800, changed=changed)
        found, _ = run(drift, "--reference", str(reference), "--data", str(data), "--record", "drift.json",
                       "--cache", "cache")  # fmt: skip
        assert found.splitlines()[0] == ("drifted" if changed else "not drifted"), found


def test_a_sweep_chooses_the_trial_with_the_better_score(example: Example, first: Path, tmp_path: Path) -> None:
    score = f"fd_{example.extractor}"
    trials = [first, shutil.copytree(first, tmp_path / "worse")]
    record = json.loads((trials[1] / "scores.json").read_text())
    record["scores"][score] += 1
    (trials[1] / "scores.json").write_text(json.dumps(record))
    made = [{"artifacts": [{"uri": str(trial / name)} for trial in trials]} for name in ("model", "scores.json")]
    outputs = {name: {"artifacts": [{"uri": str(tmp_path / name)}]} for name in ("model", "scores")}
    given = {
        "inputs": {"artifacts": dict(zip(("models", "evaluations"), made, strict=True))},
        "outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "output.json")},
    }
    config = json.dumps(example.parameters()["register"])
    printed, _ = run(choose, "--model", "model", "--scores", "scores", "--executor-input", json.dumps(given),
                     config=config)  # fmt: skip
    assert printed.splitlines()[0].endswith(", chosen")
    assert (tmp_path / "model" / "generator.keras").read_bytes() == (first / "model" / "generator.keras").read_bytes()

"""The evaluate command on whatever it is given."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset
from generators import generator_metadata
from PIL import Image

from components import evaluate
from components.cli.command import run
from components.registry import champion
from gan_core.evaluation.champion import Champion
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import generator_digest, load_generator, save_generator

ROOT = Path(__file__).resolve().parent.parent.parent
SIDE = 16
SETTINGS = {
    "extractor": "classifier",
    "inception_weights": "",
    "resize": "legacy_tensorflow",
    "reference": "held_out",
    "metrics": ["fid", "kid", "prdc", "memorisation"],
    "samples": 90,
    "sampling_seeds": 2,
    "seed": 3,
    "batch_size": 40,
    "kid_subsets": 4,
    "kid_subset_size": 1000,
    "bootstrap_replicates": 3,
}


def write_generator(
    folder: Path, shape: tuple[int, int, int] = (SIDE, SIDE, 1), seed: int = 0, scale: float = 1.0
) -> Path:
    import keras

    initial = keras.initializers.RandomUniform(-scale, scale, seed)
    dense = keras.layers.Dense(int(np.prod(shape)), "tanh", kernel_initializer=initial)
    layers = [keras.Input((8,)), dense, keras.layers.Reshape(shape)]
    metadata = generator_metadata(
        latent_size=8, shape=shape, images_seen=640, parameters={"steps": 10}, versions={"keras": keras.__version__}
    )
    save_generator(folder, keras.Sequential(layers), metadata)
    return folder


@dataclass(frozen=True)
class Place:
    """A data set, a generator, the same data without labels, and what evaluating the first two gave."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name

    def evaluate(self, *options: object, **settings: object) -> Evaluation:
        """Runs the command in this process and returns the record it wrote."""
        scores = self.folder / "again.json"
        arguments = ["--config", json.dumps(SETTINGS | settings), "--cache", self.folder / "cache", "--scores", scores]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["evaluate", *map(str, [*arguments, *options])])
            run(evaluate.main)
        return Evaluation.parse(scores.read_text(), "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("evaluate")
    images = blobs(200, SIDE)
    images[1::2] = 255 - images[1::2]
    write_dataset(folder / "data", images[:120], images[120:], classes=2)
    write_dataset(folder / "unlabelled", images[:120], images[120:])
    write_generator(folder / "generator")
    write_generator(folder / "rival", seed=1)
    (folder / "alike").mkdir()
    for number in range(30):
        Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(folder / "alike" / f"{number}.png")
    write_generator(folder / "colour", (SIDE, SIDE, 3))
    generated = load_generator(folder / "generator").sample(90, seed=3)
    (folder / "images" / "sub").mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number, image in enumerate(generated):
            name = f"{'sub/' if number % 2 else ''}{number:03d}.png"
            Image.fromarray(image[:, :, 0]).save(folder / "images" / name)
            archive.write(folder / "images" / name, name)
    return Place(folder)


@pytest.fixture(scope="module")
def process(place: Place) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it."""
    outputs = ["--scores", "scores.json", "--report", "report.html", "--statistics", "statistics.npz"]
    options = ["--real", "data", "--generated", "generator", "--cache", "cache", "--config", json.dumps(SETTINGS)]
    command = [sys.executable, "-m", "components.evaluate", *options, *outputs]
    return subprocess.run(
        command,
        cwd=place.folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(place.folder)},
        capture_output=True,
        check=False,
        text=True,
    )


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
    assert "classifier: " in process.stderr  # its progress


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


def test_beside_a_champion(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    report = place.folder / "beside.html"
    options = ("--real", place.data, "--generated", place.generator, "--report", report)
    alone = place.evaluate(*options)
    assert "Comparison with the champion" not in report.read_text()
    capsys.readouterr()
    beside = place.evaluate(*options, "--champion", place.rival)
    assert beside.model_copy(update={"champion": None}) == alone  # its own scores do not depend on it
    rival = place.evaluate("--real", place.data, "--generated", place.rival)
    assert beside.champion is not None
    assert (beside.champion.scores, beside.champion.spread) == (rival.scores, rival.spread)
    assert beside.champion.generator_digest == generator_digest(place.rival)
    assert str(place.rival) in capsys.readouterr().out
    assert 'alt="20 images of the champion"' in report.read_text()
    assert place.evaluate(*options, "--champion", place.colour).champion is None
    shown = capsys.readouterr().out
    assert f"note: The champion, {place.colour}, cannot be evaluated: The classifier compares images" in shown
    assert "cannot be evaluated" in report.read_text()


def test_beside_images_the_champion_draws_as_many(place: Place) -> None:
    beside = place.evaluate(
        "--real", place.data, "--generated", place.images, "--champion", place.rival, samples=150, extractor="random"
    )
    alone = place.evaluate("--real", place.data, "--generated", place.rival, samples=90, extractor="random")
    assert beside.champion is not None
    assert beside.champion.scores == alone.scores


def test_copies_of_training_images_are_warned_of_whatever_is_scored_beside(place: Place) -> None:
    images = blobs(120, SIDE, seed=9)
    write_dataset(place.folder / "known", images[:80], 255 - images[80:])  # unseen ones are unlike, so the gap is wide
    copies = place.folder / "copies"
    copies.mkdir()
    for number, image in enumerate(images[:80]):
        Image.fromarray(image[:, :, 0]).save(copies / f"{number}.png")
    record = place.evaluate(
        "--real", place.known, "--generated", copies, "--metrics", "memorisation", extractor="random"
    )
    assert set(record.scores) == {"authenticity_random", "train_gap_random", "train_preference_random"}
    assert any("than that to equally many unseen images" in warning for warning in record.warnings)


def test_the_champions_record_counts_under_the_same_protocol_only(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--real", place.data, "--generated", place.generator, "--champion", place.rival)
    record = place.evaluate("--real", place.data, "--generated", place.rival)
    recorded = record.model_copy(update={"scores": record.scores | {"fd_classifier": 98765.0}})

    @contextlib.contextmanager
    def registered(*_: object) -> Iterator[Champion]:
        yield Champion("version 7", place.rival, recorded)

    monkeypatch.setattr(champion, "find_champion", registered)
    capsys.readouterr()
    place.evaluate(*options)
    assert "98765" in capsys.readouterr().out
    fewer = recorded.protocol.model_copy(update={"reference_count": 70})
    recorded = recorded.model_copy(update={"protocol": fewer})
    place.evaluate(*options)
    shown = capsys.readouterr()
    assert "98765" not in shown.out
    assert (
        "note: The champion, version 7, was registered under another protocol: reference_count: 80, not 70" in shown.out
    )
    assert "real images (the Fréchet distance falls as their number grows)" in shown.out
    assert "champion: " in shown.err  # its images are drawn again


def test_images_that_are_all_alike_and_have_a_singular_covariance(place: Place) -> None:
    alike = place.evaluate("--real", place.data, "--generated", place.alike)
    assert all(np.isfinite(list(alike.scores.values())))
    assert alike.scores["fd_classifier"] > 0
    assert alike.scores["diversity_classifier"] == pytest.approx(0, abs=1e-6)
    assert alike.scores["recall_classifier"] == 0
    assert any("may have collapsed" in sentence for sentence in alike.warnings)
    same = place.evaluate("--real", place.alike, "--generated", place.alike, extractor="random")
    assert same.scores["fd_random"] == pytest.approx(0, abs=1e-9)
    assert same.intervals["fd_random"].high == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("generated", ["images", "images.zip", "renamed", "some_of_them"])
def test_images_that_are_on_both_sides_are_told(place: Place, generated: str) -> None:
    """The same files, a copy in an archive, the pixels in another format under other names, and a part of them."""
    for number, path in enumerate(sorted(place.images.rglob("*.png"))):
        for folder in ("renamed", "some_of_them") if number < 40 else ("renamed",):
            (place.folder / folder).mkdir(exist_ok=True)
            Image.open(path).save(place.folder / folder / f"{1000 - number}.webp", lossless=True)
    settings = {"extractor": "random", "metrics": ["fid"]}
    statistics = place.folder / "images.npz"
    same = place.evaluate(
        "--real", place.images, "--generated", place.folder / generated, "--statistics", statistics, **settings
    )
    assert any("All of the generated images are also among the real" in sentence for sentence in same.warnings)
    by_statistics = place.evaluate("--real", statistics, "--generated", place.folder / generated, **settings)
    told = any("also among the real images" in sentence for sentence in by_statistics.warnings)
    assert told == (generated != "some_of_them")


def test_a_class_without_real_images_is_told(place: Place) -> None:
    write_dataset(place.folder / "one_sided", blobs(30, SIDE), blobs(8, SIDE, seed=1), classes=9)
    settings = {"extractor": "random", "metrics": ["fid"]}
    record = place.evaluate("--real", place.one_sided, "--generated", place.images, **settings)
    assert any("1 of 9 classes have no held-out image" in sentence for sentence in record.warnings)


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


def test_memorisation_without_training_images_is_told(place: Place) -> None:
    settings = {"extractor": "random", "metrics": ["fid", "memorisation"]}
    record = place.evaluate("--real", place.images, "--generated", place.alike, **settings)
    assert any("Memorisation was not measured" in sentence for sentence in record.warnings)
    settings["reference"] = "held_out"
    record = place.evaluate("--real", place.data, "--generated", place.alike, **settings)
    assert not any("Memorisation" in sentence for sentence in record.warnings)


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


@pytest.mark.parametrize(
    ("options", "settings", "sentence"),
    [
        ("--real none --generated generator", {}, "The images of an evaluation must be a prepared data set"),
        ("--real data --generated none", {}, "The images of an evaluation must be a prepared data set"),
        ("--real empty --generated generator", {}, "at least one image"),
        ("--real data --generated empty", {}, "at least one image"),
        ("--real data --generated colour", {}, "must have the same shape"),
        ("--real data --generated damaged", {}, "must be a Keras model file"),
        ("--real data --generated undescribed", {}, "generator.json is not valid"),
        ("--real broken --generated generator", {}, "The shard must contain"),
        ("--real unlabelled --generated generator", {}, "'random'"),
        ("--real data --generated not_finite", {}, "images must be finite"),
        ("--real data --generated generator --champion none", {}, "--champion must be a generator"),
        ("--real images --generated generator", {}, "is trained on labels"),
        ("--real data --generated one", {}, "at least 6 images"),
        ("--real data --generated few", {}, "at least 6 images"),
        ("--real data --generated other_size", {}, "images of the shape it was trained on"),
        ("--real data --generated truncated", {}, "An image must be readable"),
        ("--real data --generated generator --history images", {}, "history must be"),
        ("--real data --generated generator --metrics fid,beauty", {}, "'metrics.1' must be"),
        ("--real data --generated generator --mode nearest", {}, "'resize' must be"),
        (
            "--real data --generated generator --mode clean",
            {"extractor": "random"},
            "--mode needs the extractor incept",
        ),
        ("--real s.npz --generated images --metrics fid,prdc", {}, "only the metric 'fid' can be computed"),
        ("--real s.npz --generated images", {}, "only the metric 'fid' can be computed"),
        ("--real images --generated images --metrics memorisation", {}, "requires a prepared data set"),
        ("--real broken_manifest --generated generator", {}, "The manifest is not valid: Invalid JSON"),
        ("--real data --generated generator", {"samples": 1}, "evaluate.samples"),
        ("--real data --generated generator", {"extractor": "clip"}, "evaluate.extractor"),
        ("--real data --generated generator", {"extractor": "inception", "inception_weights": "none"}, "6726825d"),
        ("--real data --generated generator", {"extractor": "inception", "inception_weights": "x.pth"}, "SHA-256"),
    ],
)
def test_bad_input(
    place: Place, options: str, settings: dict[str, object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_bad_input(place.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        with pytest.raises(SystemExit) as ended:
            place.evaluate(*options.split(), "--report", "bad.html", "--statistics", "bad.npz", **settings)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Received: " in message
    assert not list(place.folder.glob("bad.*"))


def _write_bad_input(folder: Path) -> None:
    if (folder / "empty").exists():
        return
    (folder / "empty").mkdir()
    write_generator(folder / "damaged")
    (folder / "damaged" / "generator.keras").write_bytes(b"PK")
    write_generator(folder / "not_finite", scale=np.nan)
    write_generator(folder / "undescribed")
    (folder / "undescribed" / "generator.json").write_text("{}")
    write_dataset(folder / "broken", blobs(10, SIDE), blobs(10, SIDE), classes=2)
    np.save(folder / "broken" / "held_out-00000.npy", blobs(9, SIDE))
    for name, count, side in (("one", 1, SIDE), ("few", 3, SIDE), ("other_size", 9, 20), ("truncated", 9, SIDE)):
        (folder / name).mkdir()
        for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    content = (folder / "truncated" / "0.png").read_bytes()
    (folder / "truncated" / "0.png").write_bytes(content[: len(content) // 2])
    (folder / "s.npz").touch()
    (folder / "broken_manifest").mkdir()
    (folder / "broken_manifest" / "manifest.json").write_text('{"digest": "sha256-')
    (folder / "x.pth").write_bytes(b"weights of something else")


def test_a_wrong_parameter_is_refused_before_tensorflow(place: Place) -> None:
    code = "import sys; sys.argv[0] = 'evaluate'; from components.evaluate import main\ntry: main()\n"
    code += "except Exception as error: print(type(error).__name__, 'tensorflow' in sys.modules)"
    options = ["--config", json.dumps(SETTINGS | {"samples": 0}), "--real", "data", "--generated", "generator"]
    process = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=place.folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert process.stdout == "InvalidInput False\n"


def test_an_output_that_cannot_be_written_is_refused_at_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.folder / "file").touch()
    with pytest.raises(SystemExit) as ended:
        place.evaluate("--real", place.data, "--generated", place.generator, "--report", place.file / "report.html")
    assert ended.value.code == 2
    assert "writable" in capsys.readouterr().err

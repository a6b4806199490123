"""Tests of the report: in a browser, with hostile names, with images that do not compress, and with missing parts."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from datasets import write_dataset
from generators import generator_metadata

from gan_core.codecs.text import TextCodec
from gan_core.data.manifest import Manifest
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.evaluator import evaluate
from gan_core.evaluation.extractors.features import FeatureSet, extract
from gan_core.evaluation.feature_extraction import ExtractedFeatures, GeneratedFeatures
from gan_core.evaluation.images import GeneratedImages, ImagesWithFeatures
from gan_core.evaluation.real_and_generated import Sides, StoredImages
from gan_core.evaluation.report.contents import collect_contents
from gan_core.evaluation.report.curves import chart
from gan_core.evaluation.report.history import training_charts
from gan_core.evaluation.report.page import render_report
from gan_core.evaluation.report.pictures import Pictures, strip, tile
from gan_core.evaluation.score_meanings import MEANINGS
from gan_core.generator import Generator
from gan_core.output_files import MANIFEST_FILE

HOSTILE = "<script>document.title='taken'</script>\"'&{{ 7 * 7 }}"
SIDE = 128


class Extractor:
    """Uses five pixels as features and predicts three classes."""

    name, digest, size, resize, accuracy = "classifier", "sha256-1", 5, "none", 0.9

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images[:, 0, :5, 0].astype(np.float32) / 255

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[(features[:, 0] > 0.5).astype(int)]


def noise(latents: tf.Tensor, training: bool) -> tf.Tensor:
    """A generator of noise in colour, which no format compresses."""

    def draw(latents: np.ndarray) -> np.ndarray:
        return np.stack([np.random.default_rng(int(abs(z[0]) * 1e6)).uniform(-1, 1, (SIDE, SIDE, 3)) for z in latents])

    return tf.numpy_function(draw, [latents], tf.float64)


def extracted_features(place: Path) -> ExtractedFeatures:
    images = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE, 3), np.uint8)
    write_dataset(place, images[:30], images[30:], classes=3)
    manifest = Manifest.parse((place / MANIFEST_FILE).read_text(), "")
    classes = [manifest.classes[0].model_copy(update={"name": HOSTILE}), *manifest.classes[1:]]
    classes[1] = classes[1].model_copy(update={"name": "a_name_without_any_space_in_it" * 5})
    (place / MANIFEST_FILE).write_text(manifest.model_copy(update={"classes": tuple(classes)}).model_dump_json())
    dataset = PreparedDataset(place)
    metadata = generator_metadata(
        shape=(SIDE, SIDE, 3),
        images_seen=123_456,
        collapsed=True,
        dataset_digest=manifest.digest,
        dataset_source=HOSTILE,
        parameters={"learning_rate": 0.0002, HOSTILE: HOSTILE},
        versions={"keras": "3"},
    )
    generator = Generator(noise, metadata)
    draws = [GeneratedImages(generator, 70, seed) for seed in (0, 1)]
    held_out, train = dataset.split("held_out"), dataset.split("train")
    extractor = Extractor()
    drawn = [ImagesWithFeatures(images, extract(extractor, images.batches(32))) for images in draws]
    return ExtractedFeatures(
        sides=Sides(
            real_path=place,
            generated_path=Path(HOSTILE),
            real=StoredImages("held_out", manifest.digest, held_out),
            training=StoredImages("train", manifest.digest, train),
            dataset=dataset,
            generator=metadata,
            generated=None,
        ),
        reference="held_out",
        reference_digest=manifest.digest,
        real=extract(extractor, held_out.batches(32)),
        training=extract(extractor, train.batches(32)),
        generated=GeneratedFeatures(drawn, (0, 1), generator, [{}, {}]),
    )


SETTINGS = SimpleNamespace(
    metrics=("fid", "kid", "prdc", "memorisation"), kid_subsets=2, kid_subset_size=20, bootstrap_replicates=3, seed=0
)


def history(place: Path) -> Path:
    rows = [{"images_seen": 100 * n, "losses/generator": 1 / (n + 1), "losses/discriminator": n} for n in range(20)]
    rows[3]["losses/generator"] = float("nan")
    for row in rows:  # scores are computed less often than rows are written
        scored = row["images_seen"] in (500, 1500)
        row |= {"fd_classifier": 9.5 if scored else "", "precision_classifier": 0.5 if scored else ""}
        row |= {"recall_classifier": 0.25 if scored else ""}
    with place.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return place


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    extracted = extracted_features(place / "data")
    charts = training_charts(history(place / "history.csv"), "image")
    record = evaluate(SETTINGS, Extractor(), extracted)
    assert list(record.scores) == [name for metric in MEANINGS if (name := f"{metric}_classifier") in record.scores]
    rival = record.model_copy(update={"scores": {name: value + 0.01 for name, value in record.scores.items()}})
    remarks = (f"A remark of {HOSTILE}.",)
    comparison = Comparison(HOSTILE, rival, extracted.generated.first.images, remarks)
    contents = collect_contents(Extractor(), extracted, record, charts, comparison=comparison, seed=0)
    text = render_report(record, contents)
    (place / "report.html").write_text(text)
    return place / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_report_is_complete_and_readable_in_a_browser(page: Path, browser: object, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    requested: list[str] = []
    complaints: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(page.as_uri())
    assert [address for address in requested if not address.startswith("data:")] == [page.as_uri()]
    assert not complaints
    assert "report" in opened.title()
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    images = opened.evaluate("[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt, i.clientWidth])")
    assert len(images) > 50
    assert all(decoded for decoded, _, _ in images)
    assert all(alternative.strip() for _, alternative, _ in images)
    assert all(shown >= 20 for _, _, shown in images)
    assert opened.evaluate("[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label'))")
    ink, paper = opened.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
    )
    dark, light = (ink, paper) if scheme == "light" else (paper, ink)
    assert dark < 200
    assert light > 600
    context.close()


def test_the_page_is_small_and_self_contained(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < 5_000_000
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import""", text)


def test_the_page_shows_scores_warnings_and_lineage(page: Path) -> None:
    text = page.read_text()
    assert "&lt;script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    for expected in ("fd_classifier", "Warning.", "collapsed", "Nearest training images", "123,456", "0.0002"):
        assert expected in text
    assert "bootstrap" in text
    assert "Comparison with the champion" in text
    assert 'alt="20 images of the champion"' in text
    assert "Precision and recall after 1.9k images: precision classifier 0.5, recall classifier 0.25" in text
    assert "90.0% of held-out images" in text


def test_a_report_on_statistics_and_images_omits_the_other_parts(tmp_path: Path) -> None:
    whole = extracted_features(tmp_path / "data")
    first = whole.generated.first
    known = FeatureSet(0, whole.real.mean, whole.real.covariance, whole.real.features[:0])
    sides = Sides(Path("s.npz"), Path("images"), None, None, None, None, StoredImages("files", "", first.images))
    generated = GeneratedFeatures(whole.generated.draws[:1], (), None, [{}])
    bare = ExtractedFeatures(sides, "statistics", "sha256-2", known, None, generated)
    record = evaluate(SETTINGS, Extractor(), bare)
    text = render_report(record, collect_contents(Extractor(), bare, record, [], comparison=None, seed=0))
    for absent in ("Nearest", "Latent interpolation", "Lineage", "Classes", "sampling seeds.", "realistic", "champion"):
        assert absent not in text
    assert "does not say" in text


def test_a_chart_has_round_ticks_around_its_lines() -> None:
    drawn = chart("Loss", [0, 50, 100], {"a": [1.0, 2.0, 3.9], "b": [0.1, float("inf"), 0.2]}, "image")
    assert [tick.label for tick in drawn.y_ticks] == ["0", "1", "2", "3", "4"]
    assert [tick.label for tick in drawn.x_ticks] == ["0", "25", "50", "75", "100"]
    assert [len(points.split()) for _, points in drawn.lines] == [3, 2]
    positions = [tick.position for tick in drawn.y_ticks]
    for _, points in drawn.lines:
        assert all(positions[-1] <= float(point.split(",")[1]) <= positions[0] for point in points.split())
    assert drawn.summary == "Loss after 100 images: a 3.9, b 0.2"


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0, 5.0], [-1e-9, 1e-9], [1e12, 3e12]])
def test_a_chart_of_any_scale_has_distinct_ticks(values: list[float]) -> None:
    drawn = chart("x", [10, 20], {"a": values}, "image")
    assert 2 <= len(drawn.y_ticks) <= 8
    assert len({tick.label for tick in drawn.y_ticks}) == len(drawn.y_ticks)


def test_few_points_are_marked_and_empty_cells_are_left_out(tmp_path: Path) -> None:
    charts = {drawn.title: drawn for drawn in training_charts(history(tmp_path / "h.csv"), "image")}
    assert charts["Fréchet distance"].marked
    assert [len(points.split()) for _, points in charts["Precision and recall"].lines] == [2, 2]
    assert charts["Fréchet distance"].x_ticks[-1].label == "2k"
    assert not chart("x", range(100), {"a": [1.0] * 100}, "image").marked


def test_an_empty_column_of_scores_gives_no_chart(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("images_seen,fd_random,diversity\n100,,1\n200,,0.5\n")
    assert [drawn.title for drawn in training_charts(tmp_path / "h.csv", "image")] == ["Diversity of the samples"]


def test_fewer_than_two_points_give_no_chart() -> None:
    assert chart("x", [1], {"a": [1.0]}, "image") is None
    assert chart("x", [1, 2], {"a": [float("nan"), float("nan")]}, "image") is None


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "images_seen\nmany\n", "images_seen,a\n1\n", "images_seen,a\n,1\n", "\x00"]
)
def test_an_invalid_history_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "h.csv").write_text(content)
    with pytest.raises(InvalidInput, match="history must be"):
        training_charts(tmp_path / "h.csv", "image")


def test_only_large_images_are_reduced() -> None:
    small = tile(np.zeros((28, 20, 1), np.uint8), "x")
    assert (small.width, small.height) == (20, 28)
    large = tile(np.zeros((300, 600, 3), np.uint8), "x")
    assert large.width == pytest.approx(2 * large.height, abs=2)
    assert large.width < 100


def test_texts_stay_texts() -> None:
    codec = TextCodec(shape=(4, 1, 1), alphabet="abc")
    arrays = np.array([[1, 2, 0, 0], [0, 0, 0, 0]], np.uint8)[:, :, None, None]
    drawn = list(Pictures(SimpleNamespace(count=2), codec, "text").of(arrays))
    assert drawn == ["ab", ""]
    assert (strip(drawn, 8, "x").texts, strip(drawn, 8, "x").columns) == (("ab", ""), 8)
    assert strip(drawn, 8, "x", fewer_if_wide=True).columns == 0  # as many as fit
    assert tile("ab", "x").texts == ("ab",)


def test_images_of_different_sizes_fit_into_one_strip() -> None:
    images = [np.zeros((10, 20, 1), np.uint8), np.zeros((30, 5, 1), np.uint8), np.zeros((4, 4, 3), np.uint8)]
    sheet = strip(images, 2, "x")
    assert (sheet.width, sheet.height) == (2 * 22 - 2, 2 * 32 - 2)


def test_wide_images_get_fewer_columns_if_their_rows_mean_nothing() -> None:
    texts, squares = [np.zeros((28, 196, 1), np.uint8)] * 8, [np.zeros((28, 28, 1), np.uint8)] * 8
    assert strip(texts, 8, "x").width == 8 * 198 - 2
    assert strip(texts, 8, "x", fewer_if_wide=True).width == 2 * 198 - 2
    assert strip(squares, 8, "x", fewer_if_wide=True).width == 8 * 30 - 2

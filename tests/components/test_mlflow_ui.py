"""Two trainings compared in MLflow's own pages, in a real browser, with a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation
from tracking_server import TrackingServer

from components.mlflow_ui import share
from components.tracking.runs import experiment_id
from components.tracking.scores import log_evaluation
from components.tracking.server import connect
from components.tracking.tracker import TrainingTracker
from gan_core.codecs.grid import image_grid
from gan_core.data.prepared import PreparedDataset

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGE_SECONDS = 120
PARAMETERS = {f"parameter_{number}": "x" * 20 for number in range(60)}
LOADED = "[...document.querySelectorAll('img[src*=\"get-artifact\"]')].filter(i => i.naturalWidth > 0)"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def runs(project: Path, mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Logs two trainings with different losses and scores, and returns their run ids by name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "compared")
    experiment_id(connect())  # imports MLflow, so that the training below does not wait for the import
    manifest = PreparedDataset(write_dataset(project / "data", blobs(6), blobs(2, seed=1))).manifest
    (project / "report.html").write_text("<p>report</p>")
    runs = {}
    for offset, name in enumerate(("narrow", "wide")):
        with TrainingTracker(
            project / name,
            parameters={**PARAMETERS, "width": 32 << offset},
            tags={"dvc_experiment": name},
            dataset=manifest,
        ) as tracker:
            for images_seen in range(64, 6464, 64):
                loss = offset + 2 / (1 + images_seen / 1000)
                tracker.log_row(images_seen, {"losses/generator": loss, "losses/discriminator": 3 - loss})
            tracker.log_image(6400, "samples", image_grid(blobs(16, seed=offset), 4))
            assert tracker.run_id is not None
            runs[f"{name} synthetic-16x16x1"] = tracker.run_id
        scores = evaluation(10.0 + offset, 0.5, tracker.run_id).model_copy(update={"images_seen": 6400})
        log_evaluation(scores, project / "report.html")
    return runs


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 2000, "height": 1600})
        page.set_default_timeout(PAGE_SECONDS * 1000)
        yield page
        browser.close()


def test_two_runs_show_losses_scores_and_samples_side_by_side(
    runs: dict[str, str], mlflow_server: TrackingServer, page: Any
) -> None:
    page.goto(share(connect(), experiment_id(connect()), mlflow_server.address))
    # The samples of both runs are loaded and visible without scrolling, above the first charts.
    page.wait_for_function(f"{LOADED}.length >= 2")
    for box in page.evaluate(f"{LOADED}.map(i => i.getBoundingClientRect()).map(b => [b.width, b.bottom])"):
        assert box[0] >= 200
        assert box[1] <= 1600
    for figure in ("losses/generator", "losses/discriminator", "scores/fd_classifier"):
        for name in runs:
            page.get_by_text(f"{name} ({figure})").first.wait_for()
    addresses = page.eval_on_selector_all("img", "images => images.map(image => image.src)")
    assert {name for name, run_id in runs.items() if any(run_id in address for address in addresses)} == set(runs)


def test_the_page_of_a_run_shows_its_score_and_samples(
    runs: dict[str, str], mlflow_server: TrackingServer, page: Any
) -> None:
    run_id = next(iter(runs.values()))
    page.goto(f"{mlflow_server.address}/#/experiments/{experiment_id(connect())}/runs/{run_id}")
    page.wait_for_function(f"{LOADED}.length >= 1")
    page.get_by_text("fd_classifier 10 ± 0.5").first.wait_for()
    assert page.get_by_role("link", name="report").get_attribute("href").endswith(f"{run_id}/artifacts/report.html")


def test_the_compare_page_lists_differing_parameters_and_scores(
    runs: dict[str, str], mlflow_server: TrackingServer, page: Any
) -> None:
    experiment = experiment_id(connect())
    identifiers = ",".join(f'"{run_id}"' for run_id in runs.values())
    page.goto(f'{mlflow_server.address}/#/compare-runs?runs=[{identifiers}]&experiments=["{experiment}"]')
    page.get_by_text("scores/fd_classifier").first.wait_for()
    text = page.inner_text("body")
    assert all(name in text for name in runs)
    assert "train.width" in text
    assert {"10", "11"} <= set(text.split())

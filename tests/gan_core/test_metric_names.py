"""Tests the metric names that the training, the report and dvc.yaml's plots share."""

from __future__ import annotations

from pathlib import Path

import yaml

from gan_core import metric_names
from gan_core.evaluation.report.history import training_charts

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"losses", "logits", "norms", "guards", "scores", "system"}
NAMES = {value for name, value in vars(metric_names).items() if name.isupper() and isinstance(value, str)}


def test_every_name_has_a_section() -> None:
    assert {name.split("/")[0] for name in NAMES} == SECTIONS
    assert all(name.count("/") == 1 for name in NAMES)


def test_dvc_plots_draw_names_that_exist() -> None:
    drawn: set[str] = set()
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
        for definition in plot.values() if isinstance(plot, dict) else ():
            columns = definition["y"].get("reports/training.csv", [])
            drawn |= {columns} if isinstance(columns, str) else set(columns)
    assert {"losses", "logits", "norms", "guards", "system"} == {name.split("/")[0] for name in drawn}
    assert drawn < NAMES


def test_old_names_become_current_names_and_other_names_stay() -> None:
    for name in (*NAMES, "images_seen", "scores/fid", "scores/quick_fid", "system/cpu_utilization_percentage", "other"):
        assert metric_names.current(name) == name
    assert metric_names.current("fid") == "scores/quick_fid"
    assert metric_names.current("recall_random") == "scores/quick_recall_random"


def test_the_report_draws_a_history_with_old_names_in_the_same_way(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    numbers = "\n".join(f"{64 * step},{step},2,3,0.5" for step in range(1, 4))
    old.write_text(f"images_seen,generator_loss,discriminator_loss,fd_classifier,diversity\n{numbers}\n")
    new.write_text(
        f"images_seen,losses/generator,losses/discriminator,scores/quick_fd_classifier,guards/diversity\n{numbers}\n"
    )
    charts = training_charts(new, "clip")
    assert [chart.title for chart in charts] == ["Fréchet distance", "Losses", "Diversity of the samples"]
    assert training_charts(old, "clip") == charts

"""The summary after a run of the pipeline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evaluations import evaluation, generator

from components import summary as module
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Interval

ROOT = Path(__file__).resolve().parents[2]


def run_command(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.summary"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def write_run(folder: Path) -> None:
    generator(folder / "models" / "generator")
    reports = folder / "reports"
    reports.mkdir()
    (reports / "training.csv").write_text(
        "images_seen,system/examples_per_second\n0,0.0\n6000,100.0\n12000,50.0\n12800,100.0\n"
    )
    (reports / "scores.json").write_text(
        evaluation(12.345, 0.5)
        .model_copy(
            update={
                "warnings": ("Few samples.",),
                "intervals": {"fd_classifier": Interval(low=11.5, high=13.25)},
            }
        )
        .model_dump_json()
    )
    record = {"name": "generator", "version": "3", "decision": "challenger", "reason": "Not better."}
    (reports / "registration.json").write_text(json.dumps(record))
    for name in ("samples.png", "report.html"):
        (reports / name).touch()


def test_the_summary_names_files_scores_the_decision_and_next_commands(tmp_path: Path) -> None:
    write_run(tmp_path)
    done = run_command(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "models/generator 12,800 images seen in 2 min 8 s, 100 a second, the best generator after 64 images" in lines
    assert "reports/samples.png samples" in lines
    assert "fd_classifier 12.35 ± 0.5, 95 % within 11.5 to 13.25" in lines
    assert "kid_classifier 0.1235 ± 0.005" in lines
    assert "5,000 samples for each of 3 seeds, against 2,500 held-out images; reports/scores.json" in lines
    assert "Note: Few samples." in lines
    assert "generator version 3: challenger. Not better." in lines
    for shown in ("make ui", "dvc exp run -S", "dvc exp show", "dvc plots show"):
        assert any(line.startswith(shown) for line in lines)


def run_main(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the command in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["summary"])
    module.main()


def test_metrics_json_has_the_figures_for_comparing_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    reports = tmp_path / "reports"
    whole = evaluation(12.345, 0.5)
    more = dict.fromkeys(("precision_classifier", "recall_classifier", "inception_score_classifier"), 0.5)
    whole = whole.model_copy(
        update={
            "scores": whole.scores | more,
            "spread": whole.spread | more,
            "standard_errors": {"fd_classifier": 0.25, "kid_classifier": 0.1},
        }
    )
    (reports / "scores.json").write_text(whole.model_dump_json())
    (reports / "training.csv").write_text(
        "images_seen,system/examples_per_second,guards/diversity,guards/collapsed\n"
        "40,0.0,0.5,0.0\n64,100.0,0.75,0.0\n80,100.0,0.25,1.0\n"
    )
    run_main(tmp_path, monkeypatch)
    assert json.loads((reports / "metrics.json").read_text()) == {
        "scores/fd_classifier": 12.345,
        "scores/kid_classifier": pytest.approx(0.12345),
        "scores/precision_classifier": 0.5,
        "scores/recall_classifier": 0.5,
        "scores/standard_errors/fd_classifier": 0.25,
        "guards/diversity": 0.75,
        "guards/collapsed": 0.0,
        "images_seen": 64,
        "system/examples_per_second": 100.0,
    }


@pytest.mark.parametrize("extractor", ["classifier", "random"])
def test_quality_csv_has_the_scores_under_names_without_the_extractor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extractor: str
) -> None:
    write_run(tmp_path)
    names = ",".join(f"scores/quick_{metric}_{extractor}" for metric in ("fd", "precision", "recall"))
    (tmp_path / "reports" / "training.csv").write_text(
        f"images_seen,system/examples_per_second,{names}\n40,1.0,nan,nan,nan\n80,1.0,3.5,0.5,0.25\n"
    )
    run_main(tmp_path, monkeypatch)
    quality = (tmp_path / "reports" / "quality.csv").read_text()
    assert quality == "images_seen,frechet_distance,precision,recall\n80,3.5,0.5,0.25\n"


def test_quality_csv_is_empty_for_a_training_without_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path)
    run_main(tmp_path, monkeypatch)
    assert (tmp_path / "reports" / "quality.csv").read_text() == "images_seen,frechet_distance,precision,recall\n"


def test_an_incomplete_run_gives_one_sentence(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "reports" / "registration.json").unlink()
    done = run_command(tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: The summary needs the outputs of a complete run; `make run` makes them. "
        "Received: no reports/registration.json\n"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("registration.json", content) for content in (b"", b"\xff", b"[]", b"{}", b"[" * 10**5, b'{"name": 1}')),
        *(("training.csv", content) for content in (b"", b"\xff\n", b"images_seen\n1\n", b"images_seen,x\nnan,1\n")),
    ],
)
def test_a_damaged_record_gives_one_sentence(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    read = module._read_registration if name.endswith(".json") else module._read_history
    with pytest.raises(InvalidInput, match=rf"^[^\n]*Received: reports/{name}$"):
        read()

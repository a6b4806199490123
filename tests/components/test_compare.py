"""Trainings are compared by a parameter, over seeds: read from real MLflow servers, printed, written and logged."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from evaluations import PROTOCOL, evaluation
from hypothesis import given, settings
from hypothesis import strategies as st
from trackers import NO_SERVER, use
from tracking_server import TrackingServer

from components import compare
from components.tracking import scored_runs
from components.tracking.runs import experiment_id
from components.tracking.scored_runs import ScoredRun, group, read_runs
from components.tracking.scores import log_evaluation
from components.tracking.server import connect
from components.tracking.tracker import TrainingTracker
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput, TryAgain

BY_LOSS = {"hinge": (8.0, 9.0, 7.0), "minimax": (10.0, 12.0, 9.5)}


def track(loss: str, seed: int, score: float, *, status: str = "FINISHED", started: int = 1000, **changes: Any) -> str:
    """Creates the run of a training with its score; `changes` are further parameters, tags by `tag_`."""
    from mlflow.entities import Metric, Param, RunTag

    client = connect()
    run_id = client.create_run(experiment_id(client), start_time=started).info.run_id
    tags = {"data_digest": "sha256-1", "protocol": PROTOCOL.model_dump_json()}
    parameters = {"train.loss": loss, "train.seed": seed, "train.steps": 100, "prepare.source": "embedded"}
    for name, value in changes.items():
        if name.startswith("tag_"):
            tags[name.removeprefix("tag_")] = value
        else:
            parameters[f"train.{name}"] = value
    metrics = [Metric("scores/fd_classifier", score, started, 64), Metric("losses/generator", 1.0, started, 64)]
    client.log_batch(
        run_id,
        metrics,
        [Param(name, str(value)) for name, value in parameters.items()],
        [RunTag(*tag) for tag in tags.items()],
    )
    client.set_terminated(run_id, status)
    return str(run_id)


def track_all() -> None:
    for loss, scores in BY_LOSS.items():
        for seed, score in enumerate(scores):
            track(loss, seed, score)


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr("sys.argv", ["compare", *options])
    compare.main()


def comparison_runs(experiment: str = "gan-pipeline") -> list[Any]:
    client = connect()
    number = client.get_experiment_by_name(f"{experiment}-comparisons").experiment_id
    return list(client.search_runs([number]))


def require_comparison(found: Any, page: Path) -> None:
    """Checks the comparison of BY_LOSS: its run, tables and page."""
    client = connect()
    assert found.data.params["by"] == "train.loss"
    assert found.data.params["runs"] == "6"
    assert found.info.status == "FINISHED"
    values = client.load_table(found.info.experiment_id, "values.json")
    assert values[["value", "seeds", "mean"]].to_numpy().tolist() == [["hinge", 3, 8.0], ["minimax", 3, 10.5]]
    pairs = client.load_table(found.info.experiment_id, "pairs.json")
    assert pairs[["first", "second", "difference", "result"]].to_numpy().tolist() == [
        ["hinge", "minimax", -2.5, "hinge is better"]
    ]
    logged = Path(client.download_artifacts(found.info.run_id, "compare.html"))
    assert logged.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_recorded_trainings_are_compared_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = PreparedDataset(write_dataset(project / "data", blobs(6), blobs(2, seed=1), classes=2)).manifest
    for loss, scores in BY_LOSS.items():
        for seed, score in enumerate(scores):
            parameters = {"seed": seed, "loss": loss, "steps": 100}
            folder = Path(f"tracking-{loss}-{seed}")
            with TrainingTracker(folder, parameters=parameters, tags={}, dataset=manifest) as tracker:
                tracker.log_row(64, {"loss": 1.0})
            log_evaluation(evaluation(score, 0.5, tracker.run_id), None)
    capsys.readouterr()
    for _ in range(2):
        run(monkeypatch, "--by", "train.loss", "--output", "compare.html")
        printed = capsys.readouterr().out.splitlines()
        assert printed[:8] == [
            "fd_classifier by train.loss: Fréchet distance, lower is better",
            "",
            "train.loss  seeds  mean  95 % interval",
            "hinge           3   8.0    5.5 to 10.5",
            "minimax         3  10.5    7.2 to 13.8",
            "",
            "pair             shared seeds  difference  95 % interval      p  corrected p           result",
            "hinge − minimax             3        -2.5   -3.7 to -1.3  0.013        0.013  hinge is better",
        ]
    [found] = comparison_runs()
    require_comparison(found, project / "compare.html")


def test_a_server_has_the_comparison(
    project: Path, mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(mlflow_server.address, "compared", monkeypatch)
    track_all()
    run(monkeypatch, "--by", "train.loss", "--output", "compare.html")
    [found] = comparison_runs("compared")
    require_comparison(found, project / "compare.html")


def test_a_new_training_gives_a_new_comparison(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    track_all()
    run(monkeypatch, "--by", "train.loss")
    track("hinge", 3, 8.0)
    run(monkeypatch, "--by", "train.loss")
    assert sorted(found.data.params["runs"] for found in comparison_runs()) == ["6", "7"]


def test_runs_that_are_no_comparable_training_are_counted(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scored_runs, "RUNS_IN_A_PAGE", 2)
    track("hinge", 2, 99.0, started=10)  # older than that of `track_all`
    track_all()
    track("hinge", 3, 99.0, status="FAILED")
    track("minimax", 3, float("nan"))
    track("minimax", 4, 1.0, tag_protocol="{}")
    track("wasserstein", 0, 1.0, steps=7)
    client = connect()
    client.delete_run(track("minimax", 2, 99.0, started=9000))
    run(monkeypatch, "--by", "train.loss", "--output", "compare.html")
    printed = capsys.readouterr().out
    assert "hinge           3   8.0" in printed
    remark = (
        "Left out: 1 run not finished, 1 run repeated by a newer run, 1 run without a finite fd_classifier, "
        "1 run without parameters, data or scores of a training."
    )
    alone = "Groups of runs that have only one value of train.loss and so are not compared: 1."
    for remark_on_runs in (remark, alone):
        assert remark_on_runs in printed
        assert remark_on_runs in (project / "compare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"tag_data_digest": "sha256-9"}, "data = sha256-9"),
        ({"steps": 200}, "train.steps = 200"),
        (
            {"tag_protocol": PROTOCOL.model_copy(update={"samples": 9}).model_dump_json()},
            "protocol.samples = 9",
        ),
    ],
)
def test_runs_on_other_terms_are_compared_separately(
    changes: dict[str, Any],
    title: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    track_all()
    for loss, score in (("hinge", 100.0), ("minimax", 90.0)):
        track(loss, 0, score, **changes)
    run(monkeypatch, "--by", "train.loss")
    printed = capsys.readouterr().out
    assert f"\n\n{title}\ntrain.loss" in printed
    assert "hinge           3   8.0" in printed
    assert "minimax         1  90.00" in printed
    assert "note: minimax and hinge: a test needs 3 shared seeds, and there is 1." in printed


def test_the_version_of_a_warm_start_stands_for_its_alias(project: Path) -> None:
    track("hinge", 0, 1.0, warm_start="champion", tag_started_from="models:/a/1")
    track("hinge", 0, 2.0, warm_start="champion", tag_started_from="models:/a/2")
    track("hinge", 0, 3.0, warm_start="none", tag_started_from="random weights")
    client = connect()
    runs, _ = read_runs(client, experiment_id(client), "")
    [found], _ = group(runs, "train.warm_start", "fd_classifier")
    assert set(found.runs) == {"models:/a/1", "models:/a/2", "none"}


def test_a_filter_chooses_the_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    track_all()
    track("wasserstein", 0, 1.0)
    run(monkeypatch, "--by", "train.loss", "--filter", "params.`train.loss` != 'wasserstein'")
    assert "wasserstein" not in capsys.readouterr().out
    with pytest.raises(InvalidInput, match=r"^--filter must be in MLflow's form.*Received: --filter loss is hinge$"):
        run(monkeypatch, "--by", "train.loss", "--filter", "loss is hinge")


def test_runs_that_cannot_be_compared_are_said_to_be_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    track("hinge", 0, 8.0)
    track("minimax", 0, float("nan"))
    with pytest.raises(InvalidInput, match=r"Received: hinge; left out: 1 run without a finite fd_classifier$"):
        run(monkeypatch, "--by", "train.loss")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--by", "train.los"],
            "the nearest is 'train.loss'. Those with several values: train.loss. Received: --by train.los",
        ),
        (["--by", "train.seed"], "--by must name a parameter of the training other than train.seed"),
        (["--by", "prepare.source"], "runs on different data are not compared. Received: --by prepare.source"),
        (["--by", "train.steps"], "Runs must have at least two values of train.steps. Received: 100"),
        (["--by", "train.loss", "--metric", "fid"], "score of the trainings: fd_classifier. Received: --metric fid"),
        (["--by", "train.loss", "--experiment", "x"], "experiment of MLflow: Default, gan-pipeline. Received: x"),
        (
            ["--by", "train.loss", "--experiment", "Default"],
            "finished trainings with scores. Received: Default with no",
        ),
    ],
)
def test_a_mistake_names_what_exists(
    options: list[str], message: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track_all()
    with pytest.raises(InvalidInput) as caught:
        run(monkeypatch, *options)
    assert message in str(caught.value)


def test_runs_that_also_differ_in_another_parameter_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    track("hinge", 0, 1.0, steps=5)
    track("minimax", 0, 1.0)
    with pytest.raises(InvalidInput, match=r"Received: hinge, minimax, whose runs also differ in train\.steps$"):
        run(monkeypatch, "--by", "train.loss")


def test_only_an_earlier_comparison_is_replaced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mine.html").write_text("<title>mine</title>")
    with pytest.raises(InvalidInput, match="comparison of trainings"):
        run(monkeypatch, "--by", "train.loss", "--output", "mine.html")


def test_a_server_that_is_away_is_no_mistake(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(NO_SERVER, "any", monkeypatch)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TryAgain, match="MLflow did not list the runs"):
        run(monkeypatch, "--by", "train.loss")


def test_a_value_cannot_forge_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    track("<script>alert(1)</script>", 0, 1.0)
    track("hinge", 0, 2.0)
    run(monkeypatch, "--by", "train.loss", "--output", "compare.html")
    page = (project / "compare.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_runs_changes_nothing(drawn: list[tuple[str, int, int, int]], order: random.Random) -> None:
    runs = [
        ScoredRun(
            f"run-{number}",
            started,
            {"train.loss": loss, "train.seed": str(seed), "train.steps": str(steps)},
            "sha256-1",
            PROTOCOL,
            {"fd_classifier": float(number)},
        )
        for number, (loss, seed, steps, started) in enumerate(drawn)
    ]
    assert group(order.sample(runs, len(runs)), "train.loss", "fd_classifier") == group(
        runs, "train.loss", "fd_classifier"
    )

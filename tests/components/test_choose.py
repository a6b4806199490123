"""The choice of a sweep's best trial."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from evaluations import PROTOCOL, register_config
from generators import generator_metadata

from components import choose
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation
from gan_core.exit_codes import run
from gan_core.output_files import METADATA_FILE

REGISTER = register_config("g").model_dump_json()


def evaluation(score: float, samples: int = 10) -> Evaluation:
    return Evaluation(
        format=1,
        scores={"fd_classifier": score},
        spread={"fd_classifier": 0.0},
        warnings=(),
        protocol=PROTOCOL.model_copy(update={"samples": samples}),
        images_seen=1,
        dataset_digest="sha256-1",
        tracking_run_id=None,
    )


def test_the_lowest_score_is_best_and_a_collapsed_generator_comes_last() -> None:
    evaluations = [evaluation(3.0), evaluation(1.0), evaluation(2.0), evaluation(2.0)]
    assert choose.best(evaluations, [False] * 4, "fd_classifier") == 1
    assert choose.best(evaluations, [False, True, False, False], "fd_classifier") == 2
    assert choose.best(evaluations, [True] * 4, "fd_classifier") == 1


@pytest.mark.parametrize(
    ("evaluations", "score", "message"),
    [
        (
            [evaluation(1.0), evaluation(0.5, samples=20)],
            "fd_classifier",
            "same protocol.*trial 2, which differs from trial 1 in .*samples: 20, not 10",
        ),
        ([evaluation(1.0)], "fid", "must have a finite score 'fid'"),
        ([evaluation(1.0), evaluation(float("inf"))], "fd_classifier", "Received: inf in trial 2"),
    ],
)
def test_incomparable_scores_are_refused(evaluations, score, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        choose.best(evaluations, [False] * len(evaluations), score)


def trial(folder: Path, score: float) -> Path:
    (folder / "model").mkdir(parents=True)
    metadata = generator_metadata(latent_size=1, images_seen=1, dataset_digest="sha256-1", dataset_source="digits")
    (folder / "model" / METADATA_FILE).write_text(metadata.model_dump_json())
    (folder / "model" / "weights").write_text(str(score))
    (folder / "scores").write_text(evaluation(score).model_dump_json())
    return folder


def executor_input(folder: Path, models: list[Path], evaluations: list[Path]) -> str:
    def artifact_list(paths: list[Path]) -> dict[str, object]:
        return {"artifacts": [{"uri": str(path)} for path in paths]}

    outputs = {name: artifact_list([folder / name]) for name in ("model", "scores")}
    return json.dumps(
        {
            "inputs": {"artifacts": {"models": artifact_list(models), "evaluations": artifact_list(evaluations)}},
            "outputs": {"artifacts": outputs, "outputFile": str(folder / "output.json")},
        }
    )


def run_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> None:
    outputs = ["--model", str(folder / "model"), "--scores", str(folder / "scores")]
    monkeypatch.setattr("sys.argv", ["choose", "--config", REGISTER, *outputs, *more])
    run(choose.main)


def test_the_best_model_and_its_scores_are_written(tmp_path: Path, monkeypatch, capsys) -> None:
    trials = [trial(tmp_path / str(score), score) for score in (3.0, 1.0, 2.0)]
    given = executor_input(tmp_path, [folder / "model" for folder in trials], [folder / "scores" for folder in trials])
    run_command(monkeypatch, tmp_path, "--executor-input", given)
    assert (tmp_path / "model" / "weights").read_text() == "1.0"
    assert Evaluation.parse((tmp_path / "scores").read_text(), "scores").scores == {"fd_classifier": 1.0}
    output = json.loads((tmp_path / "output.json").read_text())
    assert output["artifacts"]["scores"]["artifacts"][0]["metadata"] == {"fd_classifier": 1.0}
    assert capsys.readouterr().out.splitlines() == [
        "trial 1: fd_classifier 3",
        "trial 2: fd_classifier 1, chosen",
        "trial 3: fd_classifier 2",
    ]


def test_nothing_is_written_without_trials_or_their_scores(tmp_path: Path, monkeypatch, capsys) -> None:
    folder = trial(tmp_path / "0", 1.0)
    incomplete = executor_input(tmp_path, [folder / "model", folder / "model"], [folder / "scores"])
    for more in ([], ["--executor-input", incomplete]):
        with pytest.raises(SystemExit) as end:
            run_command(monkeypatch, tmp_path, *more)
        assert end.value.code == 2
        assert "Received: " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: (path.touch(), os.truncate(path, 2**40))])
def test_a_pipe_or_a_huge_file_in_place_of_a_record_is_not_read(tmp_path: Path, monkeypatch, capsys, make) -> None:
    folder = trial(tmp_path / "0", 1.0)
    (folder / "scores").unlink()
    make(folder / "scores")
    given = executor_input(tmp_path, [folder / "model"], [folder / "scores"])
    with pytest.raises(SystemExit) as end:
        run_command(monkeypatch, tmp_path, "--executor-input", given)
    assert end.value.code == 2
    assert "that components.evaluate wrote: " in capsys.readouterr().err

"""The tracking of a training: against MLflow's own database and a real server that comes and goes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation
from tracking_server import Proxy, TrackingServer

from components.tracking import tracker as module
from components.tracking.address import tracking_uri
from components.tracking.failures import explain
from components.tracking.runs import experiment_id
from components.tracking.scores import log_evaluation
from components.tracking.server import connect
from components.tracking.spool import Spool
from components.tracking.tracker import TrainingTracker
from gan_core.data.manifest import Manifest
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import ClassScores, Interval
from gan_core.metric_names import score

ROOT = Path(__file__).resolve().parents[3]
NOBODY = "http://127.0.0.1:9"  # a port where no server answers


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data") / "prepared"
    return PreparedDataset(write_dataset(folder, blobs(6), blobs(2, seed=1), classes=2)).manifest


@pytest.fixture(autouse=True)
def quick(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends at once, and a client gives up at once."""
    monkeypatch.setattr(module, "SEND_EVERY_SECONDS", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def own_server(project: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    """A server to start and to stop."""
    server = TrackingServer(project / "server", mlflow_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    yield server
    server.stop()


def tracker(manifest: Manifest, **parameters: object) -> TrainingTracker:
    return TrainingTracker(
        Path("tracking"), parameters={"learning_rate": 0.0002, **parameters}, tags={"device": "cpu"}, dataset=manifest
    )


def only_run() -> Any:
    client = connect()
    [run] = client.search_runs([experiment_id(client)])
    return client.get_run(run.info.run_id)


def history(name: str) -> list[tuple[int, float]]:
    """Step and value of a figure of the only run, in the order in which the database holds them."""
    return [(point.step, point.value) for point in connect().get_metric_history(only_run().info.run_id, name)]


def pictures() -> list[str]:
    files = connect().list_artifacts(only_run().info.run_id, "images")
    return sorted(Path(file.path).name.split("+timestamp")[0] + Path(file.path).suffix for file in files)


def test_one_run_tells_what_was_trained_on_what_and_how_it_went(manifest: Manifest) -> None:
    with tracker(manifest) as track:
        track.log_row(64, {"losses/generator": 2.5, "system/examples_per_second": 100.0})
        track.log_row(128, {"losses/generator": float("nan"), "system/examples_per_second": 101.0})
        track.log_row(
            128, {"losses/generator": 9.0, "system/examples_per_second": 9.0, "scores/quick_fd_random": 7.0}
        )  # scored afterwards
        track.log_image(128, "samples", blobs(1, channels=3)[0])
        assert track.run_id is not None
        assert track.rows()[0] == {"images_seen": 64, "losses/generator": 2.5, "system/examples_per_second": 100.0}
    run = only_run()
    assert run.info.run_id == track.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.learning_rate": "0.0002", "prepare.source": "synthetic"}
    assert run.data.tags["device"] == "cpu"
    assert run.data.tags["data_digest"] == manifest.digest
    [dataset_input] = run.inputs.dataset_inputs
    assert manifest.digest.startswith(dataset_input.dataset.digest)
    assert {tag.key: tag.value for tag in dataset_input.tags}["digest"] == manifest.digest
    assert history("system/examples_per_second") == [(64, 100.0), (128, 101.0)]
    assert history("scores/quick_fd_random") == [(128, 7.0)]
    assert [step for step, _ in history("losses/generator")] == [64, 128]
    assert np.isnan(history("losses/generator")[1][1])
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0
    assert pictures() == ["samples+step+128.png", "samples+step+128.webp"]
    assert run.data.tags["mlflow.loggedImages"] == "True"


def test_no_secret_of_an_address_is_tracked(manifest: Manifest) -> None:
    with tracker(manifest, weights="https://me:hunter2@host/w.pth?token=hunter2"):
        pass
    assert only_run().data.params["train.weights"] == "https://host/w.pth?…"
    written = [path for path in (*Path("tracking").rglob("*"), Path("mlflow.db")) if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]


def test_a_resumed_training_goes_on_in_the_same_run_and_repeats_nothing(manifest: Manifest) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_until(KeyboardInterrupt(), manifest, {64: 1.0, 128: 2.0})
    assert only_run().info.status == "KILLED"
    with (Path("tracking") / "history.jsonl").open("a") as file:
        file.write('{"step": 192, "timest')  # a kill in the middle of a line
    with tracker(manifest) as track:
        for step in (128, 192):
            track.log_row(step, {"loss": step / 64, "system/examples_per_second": 80.0})  # repeated at another speed
        assert [row["images_seen"] for row in track.rows()] == [64, 128, 192]
    assert only_run().info.status == "FINISHED"
    assert history("loss") == [(64, 1.0), (128, 2.0), (192, 3.0)]
    assert history("system/examples_per_second") == [(64, 90.0), (128, 90.0), (192, 80.0)]


def test_records_lost_with_their_machine_are_not_repeated(manifest: Manifest, project: Path) -> None:
    """What is left of the first start is its identity and the rows of its last checkpoint."""
    with tracker(manifest) as track:
        for step in (64, 128, 192):
            track.log_row(step, {"losses/generator": step / 64})
    (project / "tracking").rename(project / "lost")
    (project / "tracking").mkdir()
    shutil.copy(project / "lost" / "training.json", project / "tracking")
    with tracker(manifest) as track:
        for step in (64, 128, 192, 256):
            track.log_row(step, {"losses/generator": step / 64})
    assert history("losses/generator") == [(64, 1.0), (128, 2.0), (192, 3.0), (256, 4.0)]
    assert only_run().info.status == "FINISHED"


def test_records_that_an_earlier_version_left_are_sent_under_today_s_names(manifest: Manifest, project: Path) -> None:
    with tracker(manifest):
        pass
    old = {"step": 64, "timestamp": 1000, "figures": {"generator_loss": 1.5, "fd_random": 7.0}}
    (project / "tracking" / "history.jsonl").write_text(json.dumps(old) + "\n")
    with tracker(manifest) as track:
        track.log_row(64, {"losses/generator": 1.5, "losses/discriminator": 2.0})
    assert history("losses/generator") == [(64, 1.5)]
    assert history("losses/discriminator") == [(64, 2.0)]
    assert history("scores/quick_fd_random") == [(64, 7.0)]
    assert history("generator_loss") == []


DAMAGE = {"empty": b"", "zeros": bytes(64) + b"\n", "zeros without an end": bytes(64), "another form": b"[1]\n"}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("training.json", "empty"),
        ("training.json", "another form"),
        ("sent.json", "empty"),
        ("sent.json", "zeros"),
        ("history.jsonl", "empty"),
        ("history.jsonl", "zeros"),
        ("history.jsonl", "zeros without an end"),
        ("machine.jsonl", "another form"),
    ],
)
def test_a_damaged_record_stops_no_training_and_nothing_is_recorded_twice(
    name: str, damage: str, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracker(manifest) as track:
        for step in (64, 128):
            track.log_row(step, {"loss": step / 64, "norm": 1.0})
        track.log_image(128, "samples", blobs(1)[0])
    run_id = track.run_id
    capsys.readouterr()
    (Path("tracking") / name).write_bytes(DAMAGE[damage])
    with tracker(manifest) as track:
        for step in (64, 128, 192):  # the rows of the checkpoint, and a new one
            track.log_row(step, {"loss": step / 64, "norm": 1.0})
        assert track.run_id == run_id
        assert [row["images_seen"] for row in track.rows()] == [64, 128, 192]
    for figure in ("loss", "norm"):
        assert [step for step, _ in history(figure)] == [64, 128, 192]
    assert pictures() == ["samples+step+128.png", "samples+step+128.webp"]
    assert only_run().info.status == "FINISHED"
    kept = sorted(Path("tracking").glob("*.damaged*"))
    said = capsys.readouterr().err
    told = int((name, damage) != ("history.jsonl", "empty"))  # a journal may be empty: what it held comes again
    assert [path.read_bytes() for path in kept] == [DAMAGE[damage]] * told
    assert said.count("warning: A tracking record cannot be read.") == told


def test_damaged_lines_and_pictures_cost_only_themselves(manifest: Manifest, project: Path) -> None:
    with tracker(manifest) as track:
        for step in (64, 128, 192):
            track.log_row(step, {"loss": step / 64})
    journal = project / "tracking" / "history.jsonl"
    first, second, third = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(
        first + bytes(len(second) - 1) + b"\n" + third + b'{"step": 256, "timestamp": 1, "figures": {}}\n'
    )
    (project / "tracking" / "pictures" / "samples+192.png").write_bytes(b"")
    (project / "tracking" / "pictures" / "notes.png").write_bytes(b"")
    with tracker(manifest) as track:
        track.log_image(256, "samples", blobs(1)[0])
        assert [row["images_seen"] for row in track.rows()] == [64, 192]
    assert [step for step, _ in history("loss")] == [64, 128, 192]
    assert pictures() == ["samples+step+256.png", "samples+step+256.webp"]
    assert (project / "tracking" / "pictures" / "samples+192.png.damaged").exists()


def test_without_a_readable_training_the_command_says_what_to_do(manifest: Manifest, project: Path) -> None:
    with tracker(manifest):
        pass
    (project / "tracking" / "training.json").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"training\.json must be readable: start the training again"):
        Spool(project / "tracking")


def test_a_training_that_fails_ends_its_run_as_failed(manifest: Manifest) -> None:
    with pytest.raises(ZeroDivisionError):
        train_until(ZeroDivisionError(), manifest, {64: 1.0})
    assert only_run().info.status == "FAILED"
    assert history("loss") == [(64, 1.0)]


def test_killed_at_any_moment_and_started_again_it_has_every_row_once(manifest: Manifest) -> None:
    code = """
import itertools, sys, time
from pathlib import Path
from components.tracking import tracker as module
from gan_core.data.manifest import Manifest
tracker.SEND_EVERY_SECONDS = 0.01
manifest = Manifest.parse(Path("manifest.json").read_text(), "")
with tracker.TrainingTracker(Path("tracking"), parameters={}, tags={}, dataset=manifest) as track:
    print("run", track.run_id, flush=True)
    for step in itertools.count(1):
        track.log_row(step, {"loss": float(step)})
        time.sleep(0.01)
"""
    Path("manifest.json").write_text(manifest.model_dump_json())
    for delay in (0.0, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    with tracker(manifest) as track:
        recorded = [row["images_seen"] for row in track.rows()]
    assert recorded == list(range(1, len(recorded) + 1))
    assert history("loss") == [(step, float(step)) for step in recorded]


def test_a_server_that_is_away_at_the_start_and_in_the_middle_gets_everything_once_and_in_order(
    manifest: Manifest, own_server: TrackingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
        assert track.run_id is None
        assert "MLflow does not answer" in capsys.readouterr().err
        own_server.start()
        wait_until(lambda: track.run_id is not None)
        track.log_row(2, {"loss": 2.0})
        track.log_image(2, "samples", blobs(1)[0])
        wait_until(lambda: sent()["pictures"])
        own_server.stop()
        track.log_row(3, {"loss": 3.0})
        track.log_image(3, "samples", blobs(1)[0])
        wait_until(lambda: "does not answer" in capsys.readouterr().err)
        own_server.start()
        track.log_row(4, {"loss": 4.0})
    assert history("loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert pictures() == [f"samples+step+{step}.{kind}" for step in (2, 3) for kind in ("png", "webp")]
    assert only_run().info.status == "FINISHED"


def test_what_an_ended_training_could_not_send_a_command_sends_once(
    manifest: Manifest,
    mlflow_server: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    with tracker(manifest) as track:
        for step in (1, 2, 3):
            track.log_row(step, {"loss": float(step)})
        track.log_image(3, "samples", blobs(1)[0])
        assert track.run_id is None
    said = capsys.readouterr().err
    assert "MLflow did not receive 3 rows, " in said
    assert "python -m components.tracking send tracking" in said
    away = send()
    assert (away.returncode, away.stderr.count("\n")) == (75, 1), away.stderr
    use(mlflow_server.address, "sent later", monkeypatch)
    for _ in range(2):
        assert send().returncode == 0
        assert history("loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
        assert pictures() == ["samples+step+3.png", "samples+step+3.webp"]
        assert only_run().info.status == "FINISHED"


def test_through_failing_requests_and_cut_answers_everything_arrives_once(
    manifest: Manifest, mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_EVERY_SECONDS", 0.01)
    with Proxy(mlflow_server.port, failures=0.4, seed=1) as proxy:
        use(proxy.address, "flaky", monkeypatch)
        with tracker(manifest) as track:
            for step in range(1, 31):
                track.log_row(step, {"loss": float(step)})
                if step % 10 == 0:
                    track.log_image(step, "samples", blobs(1)[0])
                time.sleep(0.02)
            wait_until(lambda: (sent()["history"], len(sent()["pictures"])) == (30, 3))
    assert proxy.failed > 3
    use(mlflow_server.address, "flaky", monkeypatch)
    assert send().returncode == 0
    assert history("loss") == [(step, float(step)) for step in range(1, 31)]
    assert pictures() == [f"samples+step+{step}.{kind}" for step in (10, 20, 30) for kind in ("png", "webp")]


def test_a_server_that_goes_away_before_the_end_gets_the_rest_from_the_command(
    manifest: Manifest, own_server: TrackingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    own_server.start()
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
        wait_until(lambda: sent()["history"] == 1)
        run_id = track.run_id
        own_server.stop()
        for step in (2, 3):
            track.log_row(step, {"loss": float(step)})
    assert "MLflow did not receive 2 rows, " in capsys.readouterr().err
    own_server.start()
    assert send().returncode == 0
    assert history("loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert (only_run().info.run_id, only_run().info.status) == (run_id, "FINISHED")


def test_a_server_that_takes_its_time_is_not_waited_for(
    manifest: Manifest,
    mlflow_server: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The slowest server there is, one that has not answered at all when the training ends."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    with Proxy(mlflow_server.port, holds=lambda method, path: True) as proxy:
        use(proxy.address, "slow", monkeypatch)
        with tracker(manifest) as track:
            for step in range(1, 1001):
                track.log_row(step, {"loss": float(step)})
            track.log_image(1000, "samples", blobs(1)[0])
            assert not proxy.released.is_set()
            assert track.run_id is None
        assert "MLflow did not receive 1000 rows, " in capsys.readouterr().err
        proxy.released.set()
        wait_until(lambda: not tracking_threads())
    use(mlflow_server.address, "slow", monkeypatch)
    assert send().returncode == 0
    assert history("loss") == [(step, float(step)) for step in range(1, 1001)]
    assert pictures() == ["samples+step+1000.png", "samples+step+1000.webp"]


def test_a_run_that_is_gone_from_the_server_is_made_anew_with_everything(
    manifest: Manifest, mlflow_database: Path
) -> None:
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
    shutil.copy(mlflow_database, "mlflow.db")
    with tracker(manifest) as track:
        track.log_row(2, {"loss": 2.0})
    assert history("loss") == [(1, 1.0), (2, 2.0)]
    assert only_run().data.params["train.learning_rate"] == "0.0002"


def test_it_attaches_to_the_run_that_the_environment_names(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    named = client.create_run(experiment_id(client))
    client.log_param(named.info.run_id, "train.learning_rate", "set by who made the run")
    monkeypatch.setenv("MLFLOW_RUN_ID", named.info.run_id)
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
        assert track.run_id == named.info.run_id
    assert only_run().data.params["train.learning_rate"] == "set by who made the run"
    assert only_run().data.params["prepare.source"] == "synthetic"
    assert history("loss") == [(1, 1.0)]


def test_an_experiment_in_a_temporary_copy_is_tracked_in_the_project(
    manifest: Manifest, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project / ".dvc" / "tmp" / "exps" / "copy"
    copy.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("DVC_EXP_NAME", "wider")
    monkeypatch.chdir(copy)
    with tracker(manifest) as track:
        track.log_image(1, "samples", blobs(1)[0])
    assert tracking_uri() == f"sqlite:///{project / 'mlflow.db'}"
    assert only_run().info.run_name == "wider synthetic-16x16x1"
    assert list((project / "mlruns").rglob("samples*.png"))


def test_two_processes_do_not_write_to_one_folder(manifest: Manifest) -> None:
    with tracker(manifest):
        refused = send()
    assert refused.returncode == 2
    assert (
        refused.stderr == "error: A running training sends its records itself: wait for its end. Received: tracking\n"
    )


def test_a_folder_without_records_is_refused(project: Path) -> None:
    with pytest.raises(InvalidInput, match="A tracking folder must hold"):
        Spool(project)


def test_the_evaluation_lands_in_the_run_of_the_training_once(manifest: Manifest, project: Path) -> None:
    with tracker(manifest) as track:
        track.log_row(64, {"loss": 1.0})
    (project / "report.html").write_text("<p>report</p>")
    for report in (None, project / "report.html", project / "report.html"):
        log_evaluation(evaluation(12.5, 0.5, track.run_id), report)
    assert history("scores/fd_classifier") == [(64, 12.5)]
    assert history("scores/spread/kid_classifier") == [(64, 0.005)]
    assert "report.html" in [file.path for file in connect().list_artifacts(track.run_id)]
    assert only_run().info.status == "FINISHED"


def test_the_run_is_described_by_score_samples_and_report_unless_a_person_did(
    manifest: Manifest, project: Path
) -> None:
    with tracker(manifest) as track:
        for step in (0, 64):
            track.log_image(step, "samples", blobs(1, channels=3)[0])
    report = project / "report"  # as the cluster names it
    report.write_text("<p>report</p>")
    scores = evaluation(12.5, 0.5, track.run_id).model_copy(
        update={"intervals": {"fd_classifier": Interval(low=12.0, high=13.0)}}
    )
    log_evaluation(scores, report)
    described = only_run().data.tags["mlflow.note.content"]
    assert described.startswith("**Score** fd_classifier 12.5 ± 0.5, 95 % within 12 to 13 · [report](#/experiments/")
    assert f"{track.run_id}/artifacts/report.html)" in described
    [picture] = re.findall(r"\(get-artifact\?path=(\S+?)&run_uuid=(\w+)\)", described)
    files = [file.path for file in connect().list_artifacts(track.run_id, "images")]
    assert unquote(picture[0]) in [name for name in files if "+step+64+" in name]
    assert picture[1] == track.run_id
    assert "kid_classifier 0.125 ± 0.005" in described
    connect().set_tag(track.run_id, "mlflow.note.content", "The best of May.")
    log_evaluation(scores, report)
    assert only_run().data.tags["mlflow.note.content"] == "The best of May."


def test_a_figure_of_the_evaluation_has_one_value_in_mlflow_and_in_dvc_and_its_place_as_name(
    manifest: Manifest, project: Path
) -> None:
    with tracker(manifest) as track:
        pass
    whole = evaluation(12.5, 0.5, track.run_id).model_copy(
        update={
            "standard_errors": {"fd_classifier": 0.25},
            "intervals": {"fd_classifier": Interval(low=12.0, high=13.0)},
            "extractor_accuracy": 0.875,
            "classes": (ClassScores(name="a", real_share=0.5, generated_share=0.25, scores={"fd_classifier": 3.0}),),
        }
    )
    (project / "report.html").touch()
    log_evaluation(whole, project / "report.html")
    (project / "scores.json").write_text(whole.model_dump_json())
    (project / "dvc.yaml").write_text("metrics: [scores.json]\n")
    dvc = [sys.executable, "-m", "dvc"]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "true"}
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], check=True, env=environment)
    shown = subprocess.run([*dvc, "metrics", "show", "--json"], check=True, capture_output=True, env=environment)
    in_dvc = _flat(json.loads(shown.stdout)[""]["data"]["scores.json"]["data"])
    in_mlflow = {name: value for name, value in only_run().data.metrics.items() if not name.startswith("system/")}
    figures = {score(place): value for place, value in in_dvc.items()}
    assert in_mlflow == {name: figures[name] for name in in_mlflow}
    assert set(in_mlflow) == {
        *(f"scores/{part}{name}" for part in ("", "spread/") for name in ("fd_classifier", "kid_classifier")),
        "scores/standard_errors/fd_classifier",
        "scores/intervals/fd_classifier/low",
        "scores/intervals/fd_classifier/high",
        "scores/extractor_accuracy",
    }
    assert not any(name.startswith("classes") for name in in_dvc)


def _flat(entry: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Names as DVC prints them in a table's head."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        found |= _flat(value, f"{place}{name}.") if isinstance(value, dict) else {f"{place}{name}": value}
    return found


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tracking_run_id": None}, "The generator's training has no MLflow run, so the scores are not in MLflow."),
        (
            {"tracking_run_id": None, "dataset_digest": ""},
            "The generated images have no MLflow run, so the scores are not in MLflow.",
        ),
        ({"tracking_run_id": "0" * 32}, "The scores are not in MLflow: "),
    ],
)
def test_an_evaluation_that_mlflow_cannot_take_says_so(
    changes: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    log_evaluation(evaluation(12.5, 0.5).model_copy(update=changes), None)
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_passwords_stay_out_of_the_sentences() -> None:
    error = RuntimeError("request to https://someone:secret@mlflow.example/api failed\nsecond line")
    assert explain(error) == "request to https://mlflow.example/api failed."


def use(address: str, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment)


def train_until(error: BaseException, manifest: Manifest, losses: dict[int, float]) -> None:
    with tracker(manifest) as track:
        for step, loss in losses.items():
            track.log_row(step, {"loss": loss, "system/examples_per_second": 90.0})
        raise error


def tracking_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tracking"]


def sent() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path("tracking") / "sent.json").read_text())
    return content


def send() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.tracking", "send", "tracking"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def wait_until(condition: Any) -> None:
    while not condition():
        time.sleep(0.05)

"""A training's records as a file that a later step of the pipeline sends, against a real server."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from datasets import blobs
from evaluations import evaluation
from trackers import (
    NO_SERVER,
    history,
    log_three_rows,
    only_run,
    pictures,
    require_three_rows,
    sent,
    tracker,
    use,
    wait_until,
)
from tracking_server import TrackingServer

from components.storage.output_kinds import RECORDS
from components.storage.outputs import Output
from components.tracking.records import deliver, packed
from components.tracking.scores import log_evaluation
from components.tracking.server import connect
from gan_core.data.manifest import Manifest
from gan_core.errors import InvalidInput, TryAgain

pytestmark = pytest.mark.usefixtures("quick")
FILE = Path("out/records")


def output() -> Output:
    return Output(FILE, RECORDS)


def test_records_of_a_training_without_a_server_are_delivered_once(
    manifest: Manifest,
    mlflow_server: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    for _ in range(2):  # the second start replaces the output of the first
        with packed(Path("tracking"), output()), tracker(manifest, passed_on=True) as track:
            log_three_rows(track)
    errors = capsys.readouterr().err
    assert "MLflow did not receive 3 rows, " in errors
    assert "They are in the output --records" in errors
    assert "python -m components.tracking send" not in errors
    with pytest.raises(TryAgain, match="MLflow did not receive 3 rows, "):
        deliver(FILE)
    use(mlflow_server.address, "delivered", monkeypatch)
    before = FILE.read_bytes()
    for _ in range(2):
        assert deliver(FILE) == only_run().info.run_id
        require_three_rows()
    assert FILE.read_bytes() == before


def test_records_complete_the_run_of_a_server_that_stopped(manifest: Manifest, own_server: TrackingServer) -> None:
    own_server.start()
    with packed(Path("tracking"), output()), tracker(manifest, passed_on=True) as track:
        track.log_row(1, {"loss": 1.0})
        track.log_image(1, "samples", blobs(1)[0])
        wait_until(lambda: sent()["pictures"])
        own_server.stop()
        track.log_row(2, {"loss": 2.0})
        track.log_image(2, "samples", blobs(1)[0])
    with tarfile.open(FILE) as archive:
        assert [name for name in archive.getnames() if name.endswith(".png")] == ["pictures/samples+2.png"]
    own_server.start()
    assert deliver(FILE) == track.run_id
    assert history("loss") == [(1, 1.0), (2, 2.0)]
    assert len(pictures()) == 4
    assert only_run().info.status == "FINISHED"


def test_delivered_records_do_not_require_the_server(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    with packed(Path("tracking"), output()), tracker(manifest, passed_on=True) as track:
        track.log_row(1, {"loss": 1.0})
        run_id = track.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    assert deliver(FILE) == run_id


def test_a_failed_training_writes_no_records_and_names_the_folder_to_send(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    with (
        pytest.raises(ValueError, match="diverged"),
        packed(Path("tracking"), output()),
        tracker(manifest, passed_on=True) as track,
    ):
        track.log_row(1, {"loss": 1.0})
        raise ValueError("diverged")
    assert "Send them later: python -m components.tracking send tracking" in capsys.readouterr().err
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("member", "content"),
    [("other.txt", b""), ("../training.json", b"{}"), ("training.json", b"[]"), ("training.json", b"{" * 100_000)],
)
def test_a_file_of_another_kind_is_refused(member: str, content: bytes, project: Path) -> None:
    before = {*os.listdir(project), "out"}
    FILE.parent.mkdir()
    with tarfile.open(FILE, "w") as archive:
        for name in ("sent.json", "history.jsonl", "machine.jsonl", member):
            information = tarfile.TarInfo(name)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
    with pytest.raises(InvalidInput, match=r"training\.json"):
        deliver(FILE)
    assert set(os.listdir(project)) == before


def test_text_and_links_are_refused_as_records(project: Path) -> None:
    FILE.parent.mkdir()
    FILE.write_text("not an archive")
    with pytest.raises(InvalidInput, match=r"must be a file that components\.train wrote"):
        deliver(FILE)
    with tarfile.open(FILE, "w") as archive:
        for name in ("training.json", "sent.json", "history.jsonl", "machine.jsonl"):
            information = tarfile.TarInfo(name)
            information.type, information.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(information)
    with pytest.raises(InvalidInput, match=r"it has no history\.jsonl"):
        deliver(FILE)


def test_a_required_log_of_scores_fails_while_mlflow_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    scores = evaluation(12.5, 0.5, "run")
    log_evaluation(scores, None)
    with pytest.raises(TryAgain, match="MLflow did not receive the scores"):
        log_evaluation(scores, None, required=True)


def test_scores_of_a_deleted_run_do_not_fail_the_evaluation(
    manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracker(manifest) as track:
        track.log_row(1, {"loss": 1.0})
        run_id = track.run_id
    connect().delete_run(run_id)
    log_evaluation(evaluation(12.5, 0.5, run_id), None, required=True)
    assert "The scores are not in MLflow: " in capsys.readouterr().err

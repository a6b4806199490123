"""Tracking while the server is unreachable, slow or failing, against a real server."""

from __future__ import annotations

import threading
import time

import pytest
from datasets import blobs
from trackers import (
    NO_SERVER,
    history,
    log_three_rows,
    only_run,
    pictures,
    require_three_rows,
    send,
    sent,
    tracker,
    use,
    wait_until,
)
from tracking_server import Proxy, TrackingServer

from components.tracking import tracker as module
from gan_core.data.manifest import Manifest

pytestmark = pytest.mark.usefixtures("quick")


def test_a_server_that_was_unreachable_receives_all_records_once_and_in_order(
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


def test_the_send_command_sends_the_remaining_records_once(
    manifest: Manifest,
    mlflow_server: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    with tracker(manifest) as track:
        log_three_rows(track)
        assert track.run_id is None
    message = capsys.readouterr().err
    assert "MLflow did not receive 3 rows, " in message
    assert "python -m components.tracking send tracking" in message
    unreachable = send()
    assert (unreachable.returncode, unreachable.stderr.count("\n")) == (75, 1), unreachable.stderr
    use(mlflow_server.address, "sent later", monkeypatch)
    for _ in range(2):
        assert send().returncode == 0
        require_three_rows()


def test_every_record_arrives_once_despite_failed_requests_and_cut_answers(
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


def test_the_send_command_completes_the_run_of_a_server_that_stopped(
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


def test_a_training_does_not_wait_for_a_slow_server(
    manifest: Manifest,
    mlflow_server: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The server answers nothing before the training has ended."""
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


def tracking_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tracking"]

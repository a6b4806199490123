"""Damaged, lost and old tracking records: every readable record is sent, and none is logged twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import blobs
from trackers import history, only_run, pictures, tracker

from components.tracking.spool import Spool
from gan_core.data.manifest import Manifest
from gan_core.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("quick")

DAMAGE = {"empty": b"", "zeros": bytes(64) + b"\n", "zeros without an end": bytes(64), "another form": b"[1]\n"}


def test_records_lost_with_their_machine_are_not_repeated(manifest: Manifest, project: Path) -> None:
    """Only the identity of the first start and the rows of its last checkpoint are left."""
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


def test_records_of_an_earlier_version_are_sent_under_the_current_names(manifest: Manifest, project: Path) -> None:
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
def test_a_damaged_record_does_not_stop_the_training_and_no_row_is_logged_twice(
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
        for step in (64, 128, 192):  # the rows of the checkpoint and a new row
            track.log_row(step, {"loss": step / 64, "norm": 1.0})
        assert track.run_id == run_id
        assert [row["images_seen"] for row in track.rows()] == [64, 128, 192]
    for figure in ("loss", "norm"):
        assert [step for step, _ in history(figure)] == [64, 128, 192]
    assert pictures() == ["samples+step+128.png", "samples+step+128.webp"]
    assert only_run().info.status == "FINISHED"
    kept = sorted(Path("tracking").glob("*.damaged*"))
    errors = capsys.readouterr().err
    warnings = int((name, damage) != ("history.jsonl", "empty"))  # an empty journal is valid; its rows are logged again
    assert [path.read_bytes() for path in kept] == [DAMAGE[damage]] * warnings
    assert errors.count("warning: A tracking record cannot be read.") == warnings


def test_only_damaged_lines_and_pictures_are_lost(manifest: Manifest, project: Path) -> None:
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


def test_the_error_for_an_unreadable_training_names_the_remedy(manifest: Manifest, project: Path) -> None:
    with tracker(manifest):
        pass
    (project / "tracking" / "training.json").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"training\.json must be readable: start the training again"):
        Spool(project / "tracking")


def test_a_folder_without_records_is_refused(project: Path) -> None:
    with pytest.raises(InvalidInput, match="A tracking folder must hold"):
        Spool(project)

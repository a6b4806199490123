"""The samples and the time of a training survive interruptions and are saved with the generator."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.output_files import COURSE_FILE
from gan_core.training.course import MOST_MOMENTS, Course, CourseRecord


def samples(level: int) -> np.ndarray:
    return np.full((64, 4, 4, 1), level, np.uint8)


def reloaded(state: dict) -> dict:
    """Returns the state as read back from a checkpoint."""
    buffer = io.BytesIO()
    np.savez(buffer, **state)
    with np.load(io.BytesIO(buffer.getvalue())) as arrays:
        return dict(arrays)


def test_a_resumed_training_keeps_earlier_samples_and_adds_up_the_time() -> None:
    first = Course()
    for seen in (0, 100, 200):
        first.add(seen, samples(seen))
    state = reloaded(first.state()) | {"course_seconds": np.array(40.0)}
    second = Course()
    second.restore(state)
    second.start()
    second.advance()
    second.add(300, samples(30))
    assert list(second.moments(250, samples(7))) == [0, 100, 200, 250, 300]
    assert second.moments(250, samples(7))[200].tolist() == samples(200)[:8].tolist()
    assert second.seconds > 40
    assert list(reloaded(second.state())["course_images_seen"]) == [0, 100, 200, 300]


def test_a_checkpoint_of_an_earlier_version_has_no_course() -> None:
    course = Course()
    course.add(100, samples(1))
    course.restore({"images_seen": np.array(5)})
    assert course.moments(5, samples(2)).keys() == {5}
    assert course.seconds == 0


def test_the_first_of_many_moments_is_kept_and_the_others_are_thinned_out() -> None:
    course = Course()
    for seen in range(0, 5000, 10):
        course.add(seen, samples(seen % 256))
    moments = list(course.moments(5000, samples(1)))
    assert moments[0] == 0
    assert moments[-1] == 5000
    assert 4 <= len(moments) <= MOST_MOMENTS + 1


def test_a_written_record_is_read_unchanged(tmp_path: Path) -> None:
    assert CourseRecord.read(tmp_path) is None
    written = CourseRecord({0: samples(1)[:8], 50: samples(2)[:8]}, 61.5, "2026-01-02 03:04 UTC", "2 CPU cores")
    written.write(tmp_path)
    read = CourseRecord.read(tmp_path)
    assert read is not None
    assert (read.seconds, read.finished, read.machine) == (61.5, "2026-01-02 03:04 UTC", "2 CPU cores")
    assert {seen: images.tolist() for seen, images in read.moments.items()} == {
        seen: images.tolist() for seen, images in written.moments.items()
    }


def _write(path: Path, **arrays: np.ndarray) -> None:
    np.savez(path, samples=np.zeros((1, 1, 4, 4, 1), np.uint8), finished=np.array("a"), machine=np.array("b"), **arrays)


def _encrypted(path: Path) -> None:
    """Marks the members of an archive as encrypted."""
    _write(path, images_seen=np.array([1]), seconds=np.array(1.0))
    content = path.read_bytes()
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content = b"".join(
            part if index == 0 else mark + part[: flags - 4] + b"\x01" + part[flags - 3 :]
            for index, part in enumerate(content.split(mark))
        )
    path.write_bytes(content)


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", b"0" * 10_000)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(b""),
        _compressed,
        lambda path: np.savez(path, images_seen=np.array([1])),
        lambda path: np.savez(path, images_seen=np.array([1]), samples=np.zeros((1, 8, 4, 4, 7), np.uint8)),
        lambda path: np.savez(path, images_seen=np.array([1]), samples=np.array([{}], object)),
        _encrypted,
        lambda path: _write(path, images_seen=np.array([1]), seconds=np.array(np.nan)),
        lambda path: _write(path, images_seen=np.array([-1]), seconds=np.array(1.0)),
    ],
    ids=["text", "empty", "compressed", "incomplete", "seven channels", "pickle", "encrypted", "NaN", "negative"],
)
def test_a_damaged_record_gives_one_sentence(tmp_path: Path, damage) -> None:
    damage(tmp_path / COURSE_FILE)
    with pytest.raises(InvalidInput, match=r"course\.npz must be readable.*Received"):
        CourseRecord.read(tmp_path)

import itertools
import time

import numpy as np
import pytest

from benchmarks.recorder import Recorder


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def recorder(folder, **options):
    return Recorder(folder, (1, 2, 4), count=3, latent_size=5, classes=10, seed=0, **options)


def test_compiling_and_drawing_do_not_count(clock, tmp_path):
    one = recorder(tmp_path, compiling_steps=2)
    drawn = []

    def draw(latents, labels):
        clock[0] += 1000
        drawn.append((latents, labels))
        return np.full((len(latents), 2, 2, 1), -1.0 + 2 * len(drawn) / 255, np.float32)

    for step in itertools.count(1):
        clock[0] += 50 if step <= 2 else 0.75
        one.after_step(step, draw)
        if one.finished:
            break
    assert one.rows == [
        {"moment": 1, "seconds": 1.5, "images_seen": 4},
        {"moment": 2, "seconds": 2.25, "images_seen": 5},
        {"moment": 4, "seconds": 4.5, "images_seen": 8},
    ]
    assert one.failure == ""
    for number, name in enumerate(("1", "2", "4"), start=1):
        images = np.load(tmp_path / f"{name}.npy")
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, np.full((3, 2, 2, 1), number))
    assert all(np.array_equal(drawn[0][0], latents) for latents, _ in drawn)


def test_the_later_of_two_moments_within_one_step_counts(clock, tmp_path):
    one = recorder(tmp_path)
    for _ in range(2):
        clock[0] += 3
        one.after_step(7, lambda latents, labels: np.zeros((3, 2, 2, 1), np.float32))
    assert one.rows == [{"moment": 2, "seconds": 3, "images_seen": 7}]
    assert not one.finished


def test_samples_that_are_not_finite_end_the_training(clock, tmp_path):
    one = recorder(tmp_path)
    for _ in range(2):
        clock[0] += 3
        one.after_step(7, lambda latents, labels: np.full((3, 2, 2, 1), np.nan, np.float32))
    assert one.finished
    assert "not finite" in one.failure
    assert list(tmp_path.iterdir()) == []

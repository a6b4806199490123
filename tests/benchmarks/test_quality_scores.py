import json

import numpy as np
import pytest

from benchmarks.quality_scores import Judge, seconds_to_reach
from benchmarks.quality_tables import final_table, growth_table


class TwoPixels:
    """Uses the first two pixels as features."""

    name, size, resize, accuracy = "two", 2, "none", None

    def __init__(self, digest="sha256-1"):
        self.digest = digest

    def __call__(self, images):
        return images[:, 0, :2, 0].astype(np.float32)


@pytest.fixture
def real():
    return np.random.default_rng(0).integers(50, 200, (300, 2, 2, 1), dtype=np.uint8)


def test_saved_samples_are_scored_once(real, tmp_path):
    rows = [{"moment": moment, "seconds": moment + 0.1, "images_seen": 64} for moment in (5, 10)]
    (tmp_path / "training.json").write_text(json.dumps({"failure": "", "rows": rows}))
    np.save(tmp_path / "5.npy", real + np.uint8(3))
    np.save(tmp_path / "10.npy", real)
    found = Judge([TwoPixels()], real).score_training(tmp_path)
    # The two Gaussians differ only by their means.
    assert [row["two"] for row in found["rows"]] == pytest.approx([2 * 3**2, 0], abs=1e-9)
    assert [row["diversity"] for row in found["rows"]] == pytest.approx([1, 1])
    assert [row["images_seen"] for row in found["rows"]] == [64, 64]

    (tmp_path / "5.npy").unlink()
    assert Judge([TwoPixels()], real).score_training(tmp_path) == found
    with pytest.raises(FileNotFoundError):
        Judge([TwoPixels("sha256-2")], real).score_training(tmp_path)


def test_the_time_to_reach_a_score_is_interpolated():
    rows = [{"seconds": float(t), "two": 100 / t} for t in (1, 4, 16)]
    assert seconds_to_reach(rows, "two", 50) == pytest.approx(2)
    assert seconds_to_reach(rows, "two", 12.5) == pytest.approx(8)
    assert seconds_to_reach(rows, "two", 25) == pytest.approx(4)
    assert seconds_to_reach(rows, "two", 200) == 1
    assert seconds_to_reach(rows, "two", 1) is None


def training(*scores, failure=""):
    rows = [
        {"moment": t, "seconds": float(t), "images_seen": 10 * t, "diversity": 0.9, "two": score}
        for t, score in zip((1, 4), scores, strict=True)
    ]
    return {"rows": rows, "failure": failure}


def test_the_table_excludes_failed_trainings_and_counts_them():
    trainings = {
        "default": [training(100, 25), training(100, 25), training(7, 7, failure="NaN")],
        "peer": [training(200, 40), training(300, 60)],
    }
    table = final_table(trainings, "peer", ["two"], {"two": 1.5}).splitlines()
    assert table[2] == "| default | 10 | 0.90 | 1 of 3 | 25 ± 0 | 0.500 | 2.0 |"
    assert table[3].startswith("| peer | 10 | 0.90 | 0 of 2 | 50 ± 14 | 1.000 |")
    assert table[4] == "| train images |  |  |  | 1.5 |  |  |"
    growth = growth_table({"default": trainings["default"][:1], "peer": trainings["peer"]}, "two").splitlines()
    assert growth[2:] == ["| 1 | 100 | 250 ± 71 |", "| 4 | 25 | 50 ± 14 |"]

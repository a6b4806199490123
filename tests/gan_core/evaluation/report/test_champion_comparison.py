"""Which of two scores is better, and when nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import PROTOCOL

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.champion_comparison import versus


class Images:
    def __init__(self, count: int) -> None:
        self.count = count

    def batches(self, batch_size: int):
        raise NotImplementedError

    def images(self, positions: np.ndarray) -> np.ndarray:
        return np.full((len(positions), 8, 8, 1), 9, np.uint8)


def record(scores: dict[str, float], spread: float = 0.0, errors: dict[str, float] | None = None) -> Evaluation:
    return Evaluation(
        format=1,
        scores=scores,
        spread=dict.fromkeys(scores, spread),
        standard_errors=errors or {},
        warnings=(),
        protocol=PROTOCOL,
        images_seen=1,
        dataset_digest="",
        tracking_run_id=None,
    )


def verdict(name: str, ours: float, theirs: float, spread: float = 0.0, error: float = 0.0) -> str:
    sides = [record({name: value}, spread, {name: error} if error else {}) for value in (ours, theirs)]
    [row] = versus(sides[0], Images(3), Comparison("x", sides[1], None, ())).rows
    assert row.name == name
    return row.verdict


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "said"),
    [
        ("fd_classifier", 1.0, 2.0, "better"),
        ("fd_classifier", 2.0, 1.0, "worse"),
        ("recall_classifier", 0.9, 0.8, "better"),
        ("recall_classifier", 0.8, 0.9, "worse"),
        ("diversity_classifier", 1.1, 0.8, "better"),
        ("diversity_classifier", 1.3, 0.8, "worse"),
        ("train_preference_classifier", 0.4, 0.7, "better"),
        ("train_gap_classifier", 0.4, -0.3, "worse"),
        ("fd_classifier", 1.0, 1.0, "the same"),
    ],
)
def test_where_good_generators_are(name: str, ours: float, theirs: float, said: str) -> None:
    assert verdict(name, ours, theirs) == said


def test_within_twice_the_joint_uncertainty_they_are_the_same() -> None:
    # σ of a side √(3² + 4²) = 5; joint 5 √2 = 7.07; twice that 14.14
    assert verdict("fd_classifier", 100.0, 114.1, spread=3.0, error=4.0) == "the same"
    assert verdict("fd_classifier", 100.0, 114.2, spread=3.0, error=4.0) == "better"


def test_samples_of_both_are_as_many() -> None:
    ours = record({"fd_classifier": 1.0})
    shown = versus(ours, Images(30), Comparison("x", None, Images(7), ("why",)))
    assert [picture.alternative for picture in shown.samples] == [
        "7 images of this generator",
        "7 images of the champion",
    ]
    assert (shown.rows, shown.remarks) == ([], ("why",))

"""Tests which of two scores is better, and when there is no clear difference."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import PROTOCOL

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report.champion_comparison import champion_section
from gan_core.evaluation.report.pictures import Pictures


class Images:
    def __init__(self, count: int) -> None:
        self.count = count

    def batches(self, batch_size: int):
        raise NotImplementedError

    def images(self, indices: np.ndarray) -> np.ndarray:
        return np.full((len(indices), 8, 8, 1), 9, np.uint8)


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
    [row] = champion_section(sides[0], Pictures(Images(3), None, "image"), Comparison("x", sides[1], None, ())).rows
    assert row.name == name
    return row.verdict


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "expected"),
    [
        ("fd_classifier", 1.0, 2.0, "better"),
        ("fd_classifier", 2.0, 1.0, "worse"),
        ("recall_classifier", 0.9, 0.8, "better"),
        ("recall_classifier", 0.8, 0.9, "worse"),
        ("diversity_classifier", 1.1, 0.8, "better"),
        ("diversity_classifier", 1.3, 0.8, "worse"),
        ("train_preference_classifier", 0.4, 0.7, "better"),
        ("train_gap_classifier", 0.4, -0.3, "worse"),
        ("fd_classifier", 1.0, 1.0, "no clear difference"),
    ],
)
def test_the_better_score_depends_on_the_metric(name: str, ours: float, theirs: float, expected: str) -> None:
    assert verdict(name, ours, theirs) == expected


def test_scores_within_twice_the_joint_uncertainty_do_not_differ_clearly() -> None:
    # Each score's uncertainty is √(3² + 4²) = 5, the joint uncertainty 5 √2 = 7.07, and twice that 14.14.
    assert verdict("fd_classifier", 100.0, 114.1, spread=3.0, error=4.0) == "no clear difference"
    assert verdict("fd_classifier", 100.0, 114.2, spread=3.0, error=4.0) == "better"


def test_both_generators_show_equally_many_samples() -> None:
    ours = record({"fd_classifier": 1.0})
    shown = champion_section(ours, Pictures(Images(30), None, "image"), Comparison("x", None, Images(7), ("why",)))
    assert [picture.alt_text for picture in shown.samples] == [
        "7 images of this generator",
        "7 images of the champion",
    ]
    assert (shown.rows, shown.remarks) == ([], ("why",))

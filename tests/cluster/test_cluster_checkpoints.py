"""Checkpoints on the profile's claim outlive the pod that wrote them."""

from __future__ import annotations

from typing import Any

from followed_run import (
    FOURFOLD,
    FOURFOLD_FIGURES,
    LONG,
    LONGER,
    LONGER_FIGURES,
    RESUMES,
    delete_pod,
    evict_pod,
    exhaust_memory,
    new_seed,
)
from mlflow_records import mlflow_records

WAITS = "Another process trains with these checkpoints; this one waits until it ends"


def test_a_training_resumes_after_eviction_lack_of_memory_and_deletion_in_the_same_mlflow_run(start: Any) -> None:
    run = start(new_seed(), *FOURFOLD)
    interrupted: list[str] = []
    for interrupt in (evict_pod, exhaust_memory, delete_pod):
        interrupted.append(run.unfinished_pod("train", "train: ", other_than=interrupted))
        interrupt(interrupted[-1])
    run.succeeded()
    # Argo makes a deleted pod again, or counts another try.
    assert {"train: done, 3rd try", "train: done, 4th try"} & set(run.lines)
    assert RESUMES in run.log_of("train")
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id, figures=FOURFOLD_FIGURES)


def test_a_new_run_resumes_a_cancelled_training(start: Any) -> None:
    seed = new_seed()
    cancelled = start(seed, *LONG)
    cancelled.unfinished_pod("train", "train: ")
    cancelled.cancel()
    assert cancelled.ended() == 1
    run = start(seed, *LONG)
    run.succeeded()
    with mlflow_records() as records:
        records.require_one_whole_training(cancelled.run_id, run.run_id)


def test_of_two_equal_trainings_one_waits(start: Any) -> None:
    seed = new_seed()
    runs = [start(seed, *LONGER) for _ in range(2)]
    for run in runs:
        run.succeeded()
    assert sorted(WAITS in run.log_of("train") for run in runs) == [False, True]
    with mlflow_records() as records:
        records.require_one_whole_training(*(run.run_id for run in runs), figures=LONGER_FIGURES)

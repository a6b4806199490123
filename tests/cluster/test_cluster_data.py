"""Raw data from a bucket, by prefix and under DVC, and checkpoints in a bucket: with an emulator on this machine."""

from __future__ import annotations

from typing import Any

from cluster_bucket import Bucket
from followed_run import LONG, RESUMES, delete_pod, new_seed
from mlflow_records import mlflow_records
from storage_emulator import BUCKET

FEW = ("prepare.source=cats", "evaluate.samples=90", "evaluate.kid_subset_size=50")


def test_a_folder_in_a_bucket_is_the_data(bucket: Bucket, start: Any) -> None:
    options = ["--data-prefix", f"gs://{BUCKET}/cats"]
    run = start(new_seed(), *FEW, options=options, environment=bucket.environment)
    run.succeeded()
    assert "fetch: done" in run.lines
    assert "cats-16x16x1" in run.log_of("register")


def test_a_folder_under_dvc_is_the_data(bucket: Bucket, start: Any) -> None:
    options = ["--data-pointer", str(bucket.pointer), "--data-remote", f"gs://{BUCKET}/dvc"]
    run = start(new_seed(), *FEW, options=options, environment=bucket.environment)
    run.succeeded()
    assert "fetch: done" in run.lines
    assert "cats-16x16x1" in run.log_of("register")


def test_checkpoints_in_a_bucket_outlive_the_pod(bucket: Bucket, start: Any) -> None:
    checkpoints = f"gs://{BUCKET}/checkpoints"
    place = {"checkpoints": checkpoints, "checkpoints_claim": None}
    run = start(new_seed(), *LONG, environment=bucket.environment, **place)
    delete_pod(run.unfinished_pod("train", "train: "))
    run.succeeded()
    assert RESUMES in run.log_of("train")
    with mlflow_records() as records:
        records.require_one_whole_training(run.run_id)

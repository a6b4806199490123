"""Raw data from a bucket, by prefix and under DVC, and checkpoints in a bucket: with an emulator on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from followed_run import LONG, RESUMES, delete_pod, new_seed
from mlflow_records import mlflow_records
from PIL import Image
from storage_emulator import BUCKET, storage_emulator


@dataclass(frozen=True)
class Bucket:
    """An emulated bucket with 400 images in `cats`, which are also under DVC with the remote `dvc`."""

    environment: dict[str, str]
    pointer: Path


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    address = os.environ.get("TEST_CLUSTER_HOST")
    if not address:
        pytest.skip("TEST_CLUSTER_HOST must be an address of this machine that the cluster's pods reach")
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    folder = tmp_path_factory.mktemp("raw")
    with storage_emulator(address) as host:
        client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": host})
        for path in images(folder / "cats"):
            name = path.relative_to(folder).as_posix()
            client.bucket(BUCKET).blob(name).upload_from_filename(path)
        client.close()
        settings = {"STORAGE_EMULATOR_HOST": host, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        for arguments in ("init --no-scm", "add cats", f"remote add --default team gs://{BUCKET}/dvc", "push"):
            command = [sys.executable, "-m", "dvc", *arguments.split()]
            settings["DVC_SITE_CACHE_DIR"] = str(folder / ".dvc" / "site")
            subprocess.run(command, cwd=folder, env=os.environ | settings, capture_output=True, check=True)
        yield Bucket({"STORAGE_EMULATOR_HOST": host}, folder / "cats.dvc")


def images(folder: Path) -> Iterator[Path]:
    """Writes 400 small images in two classes, dark and light ones."""
    noise = np.random.default_rng(0)
    for number in range(400):
        path = folder / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((noise.integers(0, 100, (16, 16)) + number % 2 * 150).astype(np.uint8)).save(path)
        yield path


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

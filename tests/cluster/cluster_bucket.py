"""An emulated bucket on this machine, which the pods of the cluster reach."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from storage_emulator import BUCKET, storage_emulator


@dataclass(frozen=True)
class Bucket:
    """An emulated bucket with 400 images in `cats`, which are also under DVC with the remote `dvc`."""

    environment: dict[str, str]
    pointer: Path


@contextlib.contextmanager
def emulated_bucket(address: str, folder: Path) -> Iterator[Bucket]:
    """Yields the bucket of an emulator at `address`; `folder` gets the raw data."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with storage_emulator(address) as host:
        client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": host})
        for path in _images(folder / "cats"):
            name = path.relative_to(folder).as_posix()
            client.bucket(BUCKET).blob(name).upload_from_filename(path)
        client.close()
        settings = {"STORAGE_EMULATOR_HOST": host, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        for arguments in ("init --no-scm", "add cats", f"remote add --default team gs://{BUCKET}/dvc", "push"):
            command = [sys.executable, "-m", "dvc", *arguments.split()]
            settings["DVC_SITE_CACHE_DIR"] = str(folder / ".dvc" / "site")
            subprocess.run(command, cwd=folder, env=os.environ | settings, capture_output=True, check=True)
        yield Bucket({"STORAGE_EMULATOR_HOST": host}, folder / "cats.dvc")


def _images(folder: Path) -> Iterator[Path]:
    """Writes 400 small images in two classes, dark and light ones."""
    noise = np.random.default_rng(0)
    for number in range(400):
        path = folder / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((noise.integers(0, 100, (16, 16)) + number % 2 * 150).astype(np.uint8)).save(path)
        yield path

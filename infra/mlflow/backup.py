"""Dumps the MLflow database to `gs://`, completely or not at all: python backup.py gs://bucket/prefix.

Reads the database's address from MLFLOW_BACKEND_STORE_URI, a `postgresql://` address. The dump is in pg_restore's
custom format and is read back before the upload. The uploaded object appears only if its checksum is correct.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Dumps, checks, uploads."""
    parser = argparse.ArgumentParser(description="Dump the MLflow database to gs://.")
    parser.add_argument("root", help="gs://bucket/prefix; the object is named by the time, mlflow-<UTC time>.dump")
    root = parser.parse_args().root
    bucket_name, _, prefix = root.removeprefix("gs://").partition("/")
    if not root.startswith("gs://") or not bucket_name or not prefix:
        sys.exit(f"error: the backup's root must be gs://bucket/prefix. Received: {root}")
    database = os.environ.get("MLFLOW_BACKEND_STORE_URI", "")
    if not database.startswith("postgresql://"):
        sys.exit("error: MLFLOW_BACKEND_STORE_URI must be a postgresql:// address; it is not shown as it is a secret.")

    from google.cloud import storage  # noqa: PLC0415  a wrong argument is refused at once

    name = f"{prefix.rstrip('/')}/mlflow-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.dump"
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "mlflow.dump")
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}", f"--dbname={database}")
        _run("pg_restore", "--list", str(dump))
        blob = storage.Client().bucket(bucket_name).blob(name)
        blob.upload_from_filename(dump, checksum="crc32c", if_generation_match=0)
        print(f"{dump.stat().st_size} bytes written to gs://{bucket_name}/{name}")  # noqa: T201


def _run(*command: str) -> None:
    result = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    if result.returncode:
        sys.exit(f"error: {command[0]} failed with exit code {result.returncode}; see its message above.")


if __name__ == "__main__":
    main()

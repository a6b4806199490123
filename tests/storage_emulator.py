"""A Google Cloud Storage emulator on this machine, in a separate process."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BUCKET = "team-data"


@contextlib.contextmanager
def storage_emulator(address: str = "127.0.0.1") -> Iterator[str]:
    """Yields STORAGE_EMULATOR_HOST for an emulator with the empty bucket BUCKET, at a port of `address`."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "gcp-storage-emulator"), "start", "--in-memory"]
    process = subprocess.Popen(
        [*command, "--host", address, "--port", str(port), "--default-bucket", BUCKET],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((address, port)):
                break
            assert process.poll() is None, "the storage emulator ended"
            time.sleep(0.05)
        yield f"http://{address}:{port}"
    finally:
        process.terminate()
        process.wait()

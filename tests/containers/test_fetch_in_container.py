"""The fetch command in the container, which is read-only, runs as any user and has no git and no shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docker.types import Mount
from storage_emulator import BUCKET, storage_emulator
from strict_containers import NO_SHELL, Run

FILES = {"tabby/1.txt": b"one", "siamese/1.txt": b"two"}


def test_a_pushed_version_is_fetched(run: Run, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for name, content in FILES.items():
        (repository / "cats" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "cats" / name).write_bytes(content)
    output = tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    with storage_emulator() as host:
        settings = os.environ | {
            "STORAGE_EMULATOR_HOST": host,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "DVC_SITE_CACHE_DIR": str(repository / ".dvc" / "site"),
        }
        for arguments in (
            ("init", "--no-scm"),
            ("add", "cats"),
            ("remote", "add", "--default", "team", f"gs://{BUCKET}/dvc"),
            ("push",),
        ):
            command = [sys.executable, "-m", "dvc", *arguments]
            subprocess.run(command, cwd=repository, env=settings, check=True, capture_output=True)

        def fetch(pointer: str) -> tuple[int, str]:
            command = ["python", "-m", "components.fetch", "--pointer", pointer]
            return run(
                *(*command, "--remote", f"gs://{BUCKET}/dvc", "--data", "/output/data"),
                network_mode="host",  # the emulator listens only on this machine
                environment={"STORAGE_EMULATOR_HOST": host},
                mounts=[
                    NO_SHELL,
                    Mount("/output", str(output), type="bind"),
                ],
            )

        absent = fetch("{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}")
        assert absent[0] == 2
        assert "must hold the version" in absent[1]
        code, log = fetch((repository / "cats.dvc").read_text())
    assert code == 0, log
    fetched = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert fetched == {f"data/{name}": content for name, content in FILES.items()}


def test_an_unreadable_remote_is_refused(run: Run, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir(mode=0o700)
    code, log = run(
        *("python", "-m", "components.fetch", "--remote", "/remote", "--data", "/tmp/data"),
        *("--pointer", "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"),
        mounts=[Mount("/remote", str(remote), type="bind", read_only=True)],
    )
    assert (code, log) == (2, "error: --remote must be a folder that may be read. Received: /remote\n")


def test_an_unreachable_bucket_is_a_temporary_failure(run: Run) -> None:
    code, log = run(
        *("python", "-m", "components.fetch", "--remote", f"gs://{BUCKET}/dvc", "--data", "/tmp/data"),
        *("--pointer", "{md5: 0123456789abcdef0123456789abcdef.dir, hash: md5, path: cats}"),
        environment={"STORAGE_EMULATOR_HOST": "http://storage.example.com"},
    )
    assert code == 75, log
    assert log.startswith("error: The bucket does not answer: ")

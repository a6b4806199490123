"""A PostgreSQL server for one test: a new cluster in a folder, on a free port, with a password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from infra.local.services import free_port

PASSWORD = "p4ssword"


class Postgres:
    """A context manager that runs the server; as root, it runs the server as the user postgres."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()

    def __enter__(self) -> Postgres:
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        data = str(self._folder / "data")
        initdb = [self._programs / "initdb", "-D", data, "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", password]
        self._run(*initdb, "--encoding=UTF8", "--no-locale", "--no-sync")
        options = ["-p", str(self.port), "-k", str(self._folder), "-h", "127.0.0.1", "-c", "fsync=off"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, *options], user=self._user, stdout=log, stderr=log, cwd="/"
            )
        while self._client("pg_isready", "-d", self.uri("postgres")).returncode:
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown, which ends the sessions
        self._process.wait()

    def uri(self, database: str) -> str:
        return f"postgresql://mlflow:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, statement: str) -> str:
        """Returns psql's output, unaligned and without headers."""
        result = self._client("psql", "-Atq", "-v", "ON_ERROR_STOP=1", "-c", statement, self.uri(database))
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def restore(self, dump: Path, database: str) -> None:
        result = self._client(
            "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={self.uri(database)}", str(dump)
        )
        assert result.returncode == 0, result.stderr

    def _run(self, *command: str | Path) -> None:
        subprocess.run(list(command), user=self._user, cwd="/", check=True, capture_output=True)

    def _client(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

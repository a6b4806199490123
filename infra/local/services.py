"""Runs a team's services on this machine for a trial: MLflow on PostgreSQL, with artifacts in an emulated bucket.

`make up-local` starts it and prints what to export, `make down-local` ends it and removes its data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

BUCKET = "gan-pipeline"
RECORD = Path(__file__).resolve().parents[2] / "build" / "local.json"
START_SECONDS = 180  # for one service to answer
STOP_SECONDS = 30  # for one service to end before it is killed


class Services:
    """The running services and the folder of their data, recorded on disk at every change so that a kill loses none.

    A process is identified by its id and its start time, because ids are reused.
    """

    def __init__(self, record: Path) -> None:
        self._path = record
        self._record = json.loads(record.read_text()) if record.exists() else {}

    @property
    def exports(self) -> dict[str, str]:
        """The environment variables with the services' addresses; empty unless all services run."""
        running = self._record and all(map(_running, self._record["processes"]))
        found: dict[str, str] = self._record["exports"] if running else {}
        return found

    def up(self) -> None:
        """Starts all services; if one fails, stops the others."""
        programs = postgres_programs()
        if programs is None:
            sys.exit(
                "error: PostgreSQL's server must be installed: apt-get install postgresql. "
                "Received: no initdb on the PATH or below /usr/lib/postgresql"
            )
        folder = Path(tempfile.mkdtemp(prefix="gan-pipeline-local-"))
        self._record = {"folder": str(folder), "processes": [], "exports": {}}
        self._write()
        try:
            database = self._start_postgres(programs, folder)
            storage = self._start_storage(folder)
            mlflow = self._start_mlflow(folder, database, storage)
        except BaseException:
            self.down()
            raise
        self._record["exports"] = {"MLFLOW_TRACKING_URI": mlflow, "STORAGE_EMULATOR_HOST": storage}
        self._write()

    def down(self) -> None:
        """Stops the services in reverse order and removes their data."""
        for process in reversed(self._record.get("processes", [])):
            if _running(process):
                _end(process)
        if self._record:
            shutil.rmtree(self._record["folder"], ignore_errors=True)
        self._path.unlink(missing_ok=True)
        self._record = {}

    def _start_postgres(self, programs: Path, folder: Path) -> str:
        """Starts PostgreSQL, as the user postgres if this process is root: PostgreSQL refuses to run as root."""
        user = "postgres" if os.geteuid() == 0 else None
        home = folder / "postgres"
        home.mkdir(mode=0o700)
        password, port = secrets.token_hex(16), free_port()
        secret = home / "password"
        secret.write_text(password)
        if user:
            folder.chmod(0o711)
            for path in (home, secret):
                shutil.chown(path, user)
        initdb = [programs / "initdb", "-D", home / "data", "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", secret]
        done = subprocess.run(initdb, user=user, cwd="/", capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"error: initdb failed: {done.stderr.strip()}")
        options = ["-p", str(port), "-k", str(home), "-h", "127.0.0.1"]
        self._start("postgres", [programs / "postgres", "-D", home / "data", *options], folder, user=user)
        where = ["-h", "127.0.0.1", "-p", str(port), "-U", "mlflow"]
        create = [programs / "psql", "-Atqc", "CREATE DATABASE mlflow", *where, "postgres"]
        environment = {**os.environ, "PGPASSWORD": password}  # other users can read command lines

        def created() -> bool:
            return subprocess.run(create, env=environment, capture_output=True, check=False).returncode == 0  # noqa: S603

        self._wait("postgres", folder, created)
        return f"postgresql://mlflow:{password}@127.0.0.1:{port}/mlflow"

    def _start_storage(self, folder: Path) -> str:
        port = free_port()
        command = [Path(sys.executable).with_name("gcp-storage-emulator"), "start", "--in-memory"]
        self._start("storage", [*command, "--port", str(port), "--default-bucket", BUCKET], folder)
        address = f"http://127.0.0.1:{port}"
        self._wait("storage", folder, lambda: _answers(f"{address}/storage/v1/b/{BUCKET}"))
        return address

    def _start_mlflow(self, folder: Path, database: str, storage: str) -> str:
        port = free_port()
        command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
        command += ["--no-serve-artifacts", f"--default-artifact-root=gs://{BUCKET}/mlflow"]
        settings = {
            "MLFLOW_BACKEND_STORE_URI": database,  # not on the command line, which other users can read
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "STORAGE_EMULATOR_HOST": storage,
        }
        self._start("mlflow", command, folder, settings)
        address = f"http://127.0.0.1:{port}"
        self._wait("mlflow", folder, lambda: _answers(f"{address}/api/2.0/mlflow/experiments/search?max_results=1"))
        return address

    def _start(
        self,
        name: str,
        command: list[str | Path],
        folder: Path,
        settings: dict[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Starts a process that outlives this one and the terminal; its output goes to <name>.log."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd="/" if user else folder,
                env=own | (settings or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()
        self._record["processes"].append({"name": name, "pid": process.pid, "started": started})
        self._write()

    def _wait(self, name: str, folder: Path, answers: Callable[[], bool]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not answers():
            if not _running(self._record["processes"][-1]) or time.monotonic() > give_up:
                sys.exit(f"error: {name} did not start:\n{(folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def _write(self) -> None:
        self._path.parent.mkdir(exist_ok=True)
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._record, indent=2) + "\n")
        unfinished.replace(self._path)


def postgres_programs() -> Path | None:
    """Returns the folder of PostgreSQL's server programs, which is not on the PATH in Debian; None if there is none."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def free_port() -> int:
    """Returns a port of this machine on which no process listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


def _running(process: dict[str, object]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(process["pid"])
        return found.create_time() == process["started"] and found.status() != psutil.STATUS_ZOMBIE
    return False


def _end(process: dict[str, object]) -> None:
    parent = psutil.Process(process["pid"])
    family = [parent, *parent.children(recursive=True)]
    # On SIGINT PostgreSQL ends all sessions and stops; on SIGTERM it would wait for the sessions to end.
    parent.send_signal(signal.SIGINT if process["name"] == "postgres" else signal.SIGTERM)
    _, left = psutil.wait_procs(family, STOP_SECONDS)
    for member in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(left)


def main() -> None:
    """Reads the command line; `up` prints only the exports on stdout, for `eval`."""
    parser = argparse.ArgumentParser(prog="python infra/local/services.py", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--record", type=Path, default=RECORD, help="where the running services are written down")
    arguments = parser.parse_args()
    services = Services(arguments.record)
    if arguments.command == "down":
        services.down()
        return
    if not services.exports:
        services.down()
        services.up()
    for name, value in services.exports.items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201
    print(f"MLflow's page: {services.exports['MLFLOW_TRACKING_URI']}; the bucket: gs://{BUCKET}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()

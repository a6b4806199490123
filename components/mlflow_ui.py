"""Shows the trainings in MLflow's pages, on the server that MLFLOW_TRACKING_URI names or on a new local server."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import webbrowser
from pathlib import Path
from typing import IO, Any

from components.cli.option_numbers import number
from components.tracking.address import tracking_uri
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from gan_core.masking import masked

_HOST = "127.0.0.1"
_VIEW_KEY = "samples"
_VIEW = {"workflowType": "machine_learning", "compareRunsMode": "CHART", "viewStateShareKey": _VIEW_KEY}


def main() -> None:
    """Reads the command line, starts the server, prints the address of its pages, and waits for Ctrl-C."""
    options = argparse.ArgumentParser(prog="python -m components.mlflow_ui", description=__doc__)
    options.add_argument(
        "--port", type=number("--port", int, 1, 65535), default=5000, help="port of the pages on this machine"
    )
    arguments = options.parse_args()
    client = connect()
    experiment = experiment_id(client)
    if tracking_uri().startswith(("http://", "https://")):
        _open(share(client, experiment, masked(tracking_uri())))
        return
    address = f"http://{_HOST}:{arguments.port}"
    if _answers(address):
        raise InvalidInput(f"The port must be free, but a server answers on it. Received: --port {arguments.port}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the server ends with this command
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("wb") as output, _server(arguments.port, output) as server:
            try:
                while not _answers(address):
                    if server.poll() is not None:
                        sys.exit(f"error: MLflow's server did not start:\n{log.read_text(errors='replace')}")
                    time.sleep(0.2)
                _open(share(client, experiment, address))
                print("Ctrl-C ends the server.", flush=True)
                server.wait()
            finally:
                server.terminate()


def _server(port: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts MLflow's server on the project's database. Its log goes to a file, so that the address stays visible.

    One worker is enough for one person. If there are several, workers that start slowly on a busy machine are killed.
    """
    command = [
        sys.executable,
        "-m",
        "components.run_mlflow",
        "server",
        "--host",
        _HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError):
        return False


def share(client: Any, experiment: str, address: str) -> str:
    """Adds a view that shows the latest samples first to the experiment; returns the view's address.

    Without this view MLflow shows the first samples of a training, below all of its parameters.
    """
    chart = {
        "type": "IMAGE",
        "imageKeys": ["samples"],
        "step": _last_step(client, experiment),
        "showRunParams": False,
        "runsCountToCompare": 10,
    }
    # MLflow sorts sections by name; this name comes before those of the metrics' sections.
    section = {"name": "examples", "display": True, "columns": 1, "cardHeight": 500, "isReordered": False}
    defaults = {"deleted": False, "isGenerated": False}
    view = {
        "compareRunCharts": [{"uuid": "samples", "metricSectionId": "samples", **chart, **defaults}],
        "compareRunSections": [{"uuid": "samples", **section, **defaults}],
    }
    client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{_VIEW_KEY}", json.dumps(view))
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs?{urllib.parse.urlencode(_VIEW)}"


def _last_step(client: Any, experiment: str) -> int:
    """Returns the step of the last samples of the newest training that has samples; 0 if no training has samples."""
    for tracked in client.search_runs([experiment], "tags.`mlflow.loggedImages` = 'True'", max_results=1):
        files = client.list_artifacts(tracked.info.run_id, "images")
        return max((int(found[1]) for file in files if (found := re.search(r"\+step\+(\d+)\+", file.path))), default=0)
    return 0


def _open(page: str) -> None:
    """Prints the address of the trainings, and opens it in a browser if there is a display."""
    # sys.stdout masks the queries of addresses; this query holds no secret.
    print(f"The trainings: {page}", file=sys.__stdout__, flush=True)
    if os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:  # without a display, Python would open a text browser
        webbrowser.open(page)


if __name__ == "__main__":
    run(main)

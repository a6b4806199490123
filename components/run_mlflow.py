"""Runs one of MLflow's commands on the pipeline's server or database.

`python -m components.run_mlflow models serve …` runs `mlflow models serve …`. Plain MLflow would use the database in
the working directory, and artifact paths that are out of date if the project's folder was moved.
"""

from __future__ import annotations

import argparse
import os
import sys

from components.tracking.address import database_of, tracking_uri
from components.tracking.database import artifacts_of, make_ready
from components.tracking.failures import answered
from gan_core.exit_codes import run


def main() -> None:
    """Replaces this process by `mlflow` with the same arguments."""
    options = argparse.ArgumentParser(prog="python -m components.run_mlflow", description=__doc__)
    options.add_argument("arguments", nargs=argparse.REMAINDER, help="the arguments of `mlflow`")
    arguments = options.parse_args().arguments
    address = tracking_uri()
    os.environ |= {"MLFLOW_TRACKING_URI": address, "MLFLOW_BACKEND_STORE_URI": address}
    if database := database_of(address):
        with answered("open the database"):
            make_ready(database)
        os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = artifacts_of(database).as_uri()
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])  # noqa: S606


if __name__ == "__main__":
    run(main)

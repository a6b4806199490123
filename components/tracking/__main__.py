"""Sends the records of an ended training that MLflow did not receive. Sending them twice changes nothing."""

from __future__ import annotations

import argparse

from components.storage import paths
from components.tracking.failures import answered
from gan_core.exit_codes import run


def main() -> None:
    """Reads the command line and sends."""
    parser = argparse.ArgumentParser(prog="python -m components.tracking", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    send = commands.add_parser("send", help="send the records of an ended training")
    send.add_argument("folder", type=paths.input_path, help="the training's tracking folder")
    arguments = parser.parse_args()
    from components.tracking.sender import Sender
    from components.tracking.spool import Spool

    with paths.local_paths(arguments) as local:
        spool = Spool(local.folder)
        if spool.training["status"] == "RUNNING":
            spool.set_status("KILLED")
        with answered(f"receive {spool.unsent()}"):
            Sender(spool).send()
        print(f"All records are in the MLflow run {spool.sent['run_id']}.")


if __name__ == "__main__":
    run(main)

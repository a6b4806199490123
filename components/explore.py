"""Opens a page for looking at generators: items, walks between latents, nearest training items, blind votes.

The page is for the person at this machine: it listens on 127.0.0.1 and loads nothing from outside. Its versions are
those of MLflow's registry, and the folders of `--folder`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from components.cli.listening_socket import listening_socket
from components.cli.option_numbers import number
from components.cli.project import project_root
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import paths
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

_GENERATOR = Path("models/generator")


def main() -> None:
    """Reads the command line, and serves the page until Ctrl-C."""
    arguments = parser().parse_args()
    from components.exploring.server import HOST, application, configure_gradio

    configure_gradio()
    from gan_core.export import read_metadata

    folders = arguments.folder or [_GENERATOR] * _GENERATOR.is_dir()
    for folder in folders:
        read_metadata(folder)
    with listening_socket(HOST, arguments.port) as own:
        configure_tensorflow()
        from components.exploring.blind_test import BlindTest
        from components.exploring.choices import Choices
        from components.exploring.page import Page
        from components.tracking.failures import answered
        from components.tracking.server import connect

        with answered("list the registered versions"):
            client = connect()
        choices = Choices(client, folders)
        if not choices.listed():
            raise InvalidInput(
                "There must be a generator to look at: a registered version, or a folder in --folder. Received: none"
            )
        served = application(Page(choices, BlindTest(client, choices, project_root()), arguments.dataset))
        import uvicorn

        logging.getLogger("httpx").setLevel(logging.WARNING)
        print(f"The page: http://{HOST}:{own.getsockname()[1]}\nCtrl-C ends it.", flush=True)
        uvicorn.Server(uvicorn.Config(served, log_level="warning")).run(sockets=[own])


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.explore", description=__doc__)
    options.add_argument(
        "--folder",
        type=paths.local_path,
        action="append",
        help="folder of a generator, besides the registered versions; may be repeated; default: models/generator",
    )
    options.add_argument(
        "--dataset",
        type=paths.local_path,
        default=Path("data/prepared"),
        help="prepared data, in which the nearest training items are searched",
    )
    options.add_argument(
        "--port", type=number("--port", int, 0, 65535), default=7860, help="port of the page on this machine"
    )
    return options


if __name__ == "__main__":
    run(main)

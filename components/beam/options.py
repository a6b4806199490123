"""The options `--engine beam -- --runner …` of a command."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--engine` and the engine's own options, which follow after `--`."""
    parser.add_argument("--engine", choices=["beam"], help="divides the work by Apache Beam; default: this process")
    parser.add_argument(
        "engine_options",
        nargs="*",
        metavar="-- ENGINE_OPTION",
        help="the engine's options, such as --runner FnApiRunner",
    )


def read_options(arguments: argparse.Namespace) -> PipelineOptions | None:
    """Returns Beam's options; None if the command works in its own process. Beam itself warns of unknown options.

    Raises:
        InvalidInput: Beam is not installed, or none of its runners is named.
    """
    given = arguments.engine_options
    if arguments.engine is None:
        if given:
            raise InvalidInput(f"Options after -- need --engine beam. Received: {' '.join(given)}")
        return None
    logging.disable(logging.WARNING)  # Beam warns while it is imported that it has no client for Google Cloud
    try:
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
        from apache_beam.runners.runner import create_runner
    except ImportError:
        raise InvalidInput(
            "--engine beam needs Apache Beam, which has an environment of its own: make .venv-beam/done, then "
            ".venv-beam/bin/python -m … in place of python -m … Received: --engine beam"
        ) from None
    finally:
        logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    logging.getLogger("apache_beam.options").setLevel(logging.WARNING)  # about unknown options
    options = PipelineOptions(given)
    name = options.view_as(StandardOptions).runner
    try:
        create_runner(name or "")
    except (ValueError, ImportError, AttributeError):
        raise InvalidInput(
            "--engine beam needs one of Beam's runners, such as -- --runner FnApiRunner for this machine. Received: "
            f"runner={name!r}"
        ) from None
    return options

"""Makes a prepared data set of raw images: decoded, square, of one size, in shards with a manifest and a preview."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from components.command import read_section, run, whole_output
from gan_core.config import PrepareConfig


def main() -> None:
    """Reads the command line and prepares."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    config = read_section(arguments.config, "prepare", PrepareConfig)

    from components.progress import progress
    from gan_core.data.prepare import PREVIEW_FILE_NAME, prepare
    from gan_core.data.sources import open_source

    with whole_output(arguments.dataset) as folder:
        source = open_source(config.source)
        with progress(source.count, "images", "prepare") as bar:
            manifest = prepare(source, config, folder, lambda: bar.advance(1))
    counts = manifest.counts
    print(
        f"{counts['train']} images to train on, {counts['held_out']} held out, {len(manifest.classes)} classes, "
        f"{len(manifest.rejected)} rejected. Data {manifest.digest}. "
        f"Look at {arguments.dataset / PREVIEW_FILE_NAME}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.prepare", description=__doc__)
    add = parser.add_argument
    add("--config", required=True, help="params.yaml, or its section 'prepare' as a JSON object")
    add("--dataset", required=True, type=Path, metavar="FOLDER", help="output: the prepared data set")
    return parser


if __name__ == "__main__":
    run(main)

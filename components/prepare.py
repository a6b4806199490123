"""Prepares a data set from raw data: arrays of one shape in shards, with a manifest and a preview."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components import executor
from components.beam.options import add_options, read_options
from components.cli.parameters import read_section
from components.cli.project import source_folder
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.bucket import Address
from components.storage.dvc_pointer import NOTHING_FETCHED
from components.storage.volume import kept_output
from gan_core.bucket_address import is_bucket
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.data.parameters import PrepareConfig
    from gan_core.data.sources import Source

_logger = logging.getLogger(__name__)
_SPLITS = frozenset({"train", "test", "val", "valid", "validation"})


def main() -> None:
    """Reads the command line and prepares."""
    arguments = executor.checked(parser().parse_args(), "dataset")
    options = read_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    from gan_core.data.parameters import PrepareConfig

    config = read_section(arguments.config, PrepareConfig)

    from components.cli.progress import progress
    from gan_core.data.engine import InProcess
    from gan_core.data.prepare import PREVIEW_FILE_NAME, prepare
    from gan_core.data.sources import Folder
    from gan_core.modalities import MODALITIES
    from gan_core.modalities.choice import built_in

    folders: list[Path | Address] = [] if config.source in built_in() else [Path(config.source)]
    if is_bucket(config.source):
        from components.storage.bucket_source import place_of

        folders = [] if arguments.data else [place_of(config.source)]
    with paths.local_paths(arguments, *folders) as local, kept_output(local.dataset, "prepared") as folder:
        source = _open_source(config, local.data)
        items = f"{MODALITIES[source.modality].item}s"
        if len(source.classes) == 1:
            name = source.classes[0]
            advice = (
                f"that folder is not a class, set prepare.source to {Path(config.source, source.wrapper, name)}"
                if isinstance(source, Folder)
                else "that is no class, set prepare.label to none"
            )
            _logger.warning("All %s belong to one class, %s. If %s", items, name, advice)
        elif source.classes and _SPLITS.issuperset(source.classes):
            _logger.warning(
                "The classes %s look like splits. This command itself holds %s out, so set prepare.source to one split",
                ", ".join(source.classes),
                items,
            )
        if options:
            from components.beam.engine import BeamEngine

            reopen = functools.partial(_open_source, config, local.data)
            manifest = prepare(source, config, folder, BeamEngine(options, reopen, folder.parent))
        else:
            with progress(source.count, items, "prepare") as bar:
                manifest = prepare(source, config, folder, InProcess(folder, lambda: bar.advance(1)))
    for sentence in manifest.warnings():
        _logger.warning(sentence)
    counts = manifest.counts
    shown: dict[str, float | str] = {
        "digest": manifest.digest,
        "train": counts["train"],
        "held_out": counts["held_out"],
    }
    executor.write_output(arguments.executor_input, {"dataset": shown})
    print(
        f"{counts['train']} {items} to train on, {counts['held_out']} held out, {len(manifest.classes)} classes, "
        f"{len(manifest.rejected)} rejected. Data {manifest.digest}."
        # The path in a pod is not shown, because nobody can open it.
        + ("" if arguments.executor_input else f" Preview: {arguments.dataset}/{PREVIEW_FILE_NAME}")
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.prepare", description=__doc__)
    add = options.add_argument
    add("--config", required=True, help="params.yaml, or its section 'prepare' as a JSON object")
    add(
        "--dataset",
        required=True,
        type=paths.output(kinds.PREPARED),
        metavar="FOLDER",
        help="output: the prepared data set",
    )
    add(
        "--data",
        type=paths.input_path,
        metavar="FOLDER",
        help="folder of raw data that components.fetch wrote; read instead of the folder in prepare.source",
    )
    add_options(options)
    executor.add_option(options)
    return options


def _open_source(config: PrepareConfig, fetched: Path | None) -> Source:
    """Opens the raw data in the folder `fetched`, or that of `prepare.source` if nothing was fetched."""
    from gan_core.data.csv_table import CSV
    from gan_core.data.folders import has_suffix
    from gan_core.modalities.choice import built_in, open_source

    name = config.source
    if fetched is None or _is_nothing_fetched(fetched):
        if is_bucket(name):
            from components.storage.bucket_source import open_bucket_source

            return open_bucket_source(name, config.modality, config.label)
        return open_source(name if name in built_in() else source_folder(name), config.modality, config.label)
    if not fetched.is_dir():
        raise InvalidInput(f"--data must be a folder, of raw data or of archives. Received: --data {fetched}")
    if has_suffix(name, CSV):
        fetched /= Path(name).name
    if name in built_in():
        raise InvalidInput(
            "The parameter 'prepare.source' must name the data that was fetched, not a built-in data set. "
            f"Received: source={name!r}, --data {fetched}"
        )
    return open_source(str(fetched), config.modality, config.label)


def _is_nothing_fetched(folder: Path) -> bool:
    # A class may have that name too, but it is a folder.
    return folder.is_dir() and os.listdir(folder) == [NOTHING_FETCHED] and (folder / NOTHING_FETCHED).is_file()


if __name__ == "__main__":
    run(main)

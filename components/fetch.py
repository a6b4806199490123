"""Fetches raw data for a step on a cluster: one version of a folder under DVC, or the objects below a gs:// prefix."""

from __future__ import annotations

import argparse

from components import executor
from components.storage import bucket, paths, transfer
from components.storage import fetch_records as fetched
from components.storage.dvc_pointer import NOTHING_FETCHED, read_pointer
from components.storage.dvc_remote import pull, require_remote
from components.storage.output_kinds import FETCHED
from components.storage.outputs import Output
from components.storage.volume import kept_output
from gan_core.bucket_address import split_version
from gan_core.errors import InvalidInput, TryAgain
from gan_core.exit_codes import run


def main() -> None:
    """Reads the command line and fetches."""
    arguments = executor.checked(parser().parse_args())
    text, remote = arguments.pointer, arguments.remote
    if remote and (not text or text.startswith("gs://")):
        raise InvalidInput(f"--remote must be empty unless --pointer is a DVC pointer. Received: {remote!r}")
    pointer = read_pointer(text) if text and not text.startswith("gs://") else None
    source = require_remote(remote) if pointer else text
    read = [paths.input_path(source if pointer else split_version(source)[0])] if source else []
    with paths.local_paths(arguments, *read) as local, kept_output(local.data, "fetched") as folder:
        if pointer:
            count = pull(pointer.md5, source, folder)
            print(f"fetched {count} files, version md5-{pointer.md5}")
        elif source:
            text, version = split_version(source)
            address = bucket.Address.parse(text)
            count = transfer.download_folder(address, folder)
            if version and version != transfer.listing_digest(address):
                raise TryAgain(f"The objects must not change after `resolve`: run it again. Received: {source}")
            print(f"fetched {count} files from {source}")
        else:
            folder.mkdir()
            sentence = "nothing to fetch: the data comes with the image"
            (folder / NOTHING_FETCHED).write_text(f"{sentence}\n", encoding="utf-8")
            print(sentence)
    if isinstance(arguments.data, Output):
        fetched.remember(arguments.data.place)
    executor.write_output(arguments.executor_input)


def _data(text: str) -> Output | paths.BucketOutput:
    """Returns the output folder, with the record of the files that an earlier fetch wrote there."""
    place = paths.output(FETCHED)(text)
    return Output(place.place, fetched.kind_at(place.place)) if isinstance(place, Output) else place


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.fetch", description=__doc__)
    options.add_argument(
        "--pointer",
        required=True,
        help="a .dvc file, its text, or the text of one output in dvc.lock; a gs:// prefix, optionally with "
        "#<version>; or empty for no data",
    )
    options.add_argument("--remote", required=True, help="the DVC remote: gs://bucket/folder or a folder; or empty")
    options.add_argument("--data", required=True, type=_data, help="the folder to write")
    executor.add_option(options)
    return options


if __name__ == "__main__":
    run(main)

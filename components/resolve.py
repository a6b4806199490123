"""Finds the version of the raw data that an address names now, so that unchanged data can be recognised.

The content of an address can change if it is a .dvc file in a bucket, which is replaced when data is added, or a gs://
prefix. A version identifies fixed content: it is the pointer of a folder under DVC, or a prefix with its listing's
digest.
"""

from __future__ import annotations

import argparse

from components.storage import bucket, paths, transfer
from components.storage import output_kinds as kinds
from components.storage.dvc_pointer import read_pointer
from components.storage.outputs import whole_output
from gan_core.bucket_address import split_version
from gan_core.exit_codes import run


def main() -> None:
    """Reads the command line and writes the version to a file."""
    arguments = parser().parse_args()
    version = resolve(arguments.pointer)
    with paths.local_paths(arguments) as local, whole_output(local.version) as file:
        file.write_text(version, encoding="utf-8")
    print(f"data version: {version}" if version else "no data to fetch: it is part of the image")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.resolve", description=__doc__)
    options.add_argument(
        "--pointer",
        required=True,
        help="gs://…/<name>.dvc, a gs:// prefix, any other pointer of components.fetch, or empty for no data",
    )
    options.add_argument(
        "--version", required=True, type=paths.output(kinds.VERSION), help="output: the pointer for components.fetch"
    )
    return options


def resolve(pointer: str) -> str:
    """Returns the version that `pointer` names now. The same content always has the same version.

    Raises:
        InvalidInput: there is nothing at the address, or the text is not a pointer.
        TryAgain: the bucket does not answer.
    """
    if not pointer:
        return ""
    if pointer.startswith("gs://") and not pointer.endswith(".dvc"):
        address, version = split_version(pointer)
        return f"{address}#{version or transfer.listing_digest(bucket.Address.parse(address))}"
    from gan_core.raw_data import MAX_CHARACTERS

    text = bucket.read_text(pointer, MAX_CHARACTERS) if pointer.startswith("gs://") else pointer
    return read_pointer(text).model_dump_json(include={"md5", "hash", "path"})


if __name__ == "__main__":
    run(main)

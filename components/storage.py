"""Paths of a command that may be gs:// addresses: inputs are copied here, outputs sent when the command succeeds."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components import bucket
from components.bucket import Address
from components.transfer import download, upload
from gan_core.errors import InvalidInput, TryAgain


class Input(Address):
    """What a command reads."""


class Output(Address):
    """What a command writes."""


def input_path(text: str) -> Path | Input:
    """The type of an option that names an input: a path of this machine or a gs:// address."""
    return Input.parse(text) if text.startswith("gs://") else Path(text)


def input_or_text(text: str) -> str | Input:
    """The type of an option that names an input or says something else."""
    return Input.parse(text) if text.startswith("gs://") else text


def output_path(text: str) -> Path | Output:
    """The type of an option that names an output."""
    return Output.parse(text) if text.startswith("gs://") else Path(text)


def folder_path(text: str) -> Path | Address:
    """The type of an option that names a folder which the command reads and writes all the time."""
    return Address.parse(text) if text.startswith("gs://") else Path(text)


@contextlib.contextmanager
def local_paths(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """Yields `arguments` with a path of this machine for each Input and Output.

    Inputs are whole by then. What the body made of the outputs is sent when it has succeeded. Whether outputs can be
    written is checked first, for a stage that would otherwise find out after hours of work.

    Raises:
        InvalidInput, TryAgain: an input cannot be read, or an output not be written; or the body's own.
    """
    addresses = {name: value for name, value in vars(arguments).items() if isinstance(value, Address)}
    for address in addresses.values():
        if not isinstance(address, Input):
            require_writable(address)
    with tempfile.TemporaryDirectory(prefix="gan-pipeline-") as folder:
        local = {
            name: Path(folder) / name / (address.name.rpartition("/")[2] or address.bucket)
            for name, address in addresses.items()
            if isinstance(address, Input | Output)
        }
        try:
            for name, path in local.items():
                path.parent.mkdir()
                if isinstance(addresses[name], Input):
                    download(addresses[name], path)
            yield argparse.Namespace(**vars(arguments) | local)
            for name, path in local.items():
                if isinstance(addresses[name], Output) and path.exists():
                    upload(path, addresses[name])
        except (InvalidInput, TryAgain) as error:
            message = str(error)
            for name, path in local.items():
                message = message.replace(str(path), str(addresses[name]))
            raise type(error)(message) from None


def require_writable(address: Address) -> None:
    """Checks that objects may be written below `address`: starts an upload, which leaves nothing behind.

    Raises:
        InvalidInput: no such bucket, no permission, no credentials.
        TryAgain: the bucket does not answer.
    """
    with bucket.opened(address) as opened:
        opened.blob((address / ".writable").name).create_resumable_upload_session(
            size=1, timeout=bucket.ANSWER_WITHIN_SECONDS, retry=bucket.retry(bucket.ANSWER_WITHIN_SECONDS)
        )

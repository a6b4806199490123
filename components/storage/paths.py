"""Lets paths of commands be gs:// addresses: downloads inputs, and uploads outputs if the command succeeds."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.storage import bucket, objects, outputs, transfer, volume
from components.storage.bucket import Address
from components.storage.incomplete import files_of_interrupted
from components.storage.output_kinds import MOST_BYTES, Kind
from components.storage.outputs import Output
from components.storage.overlap import require_apart
from gan_core.errors import InvalidInput
from gan_core.staging import remove_abandoned, workplace

PREFIX = "gan-pipeline-at-work-"
"""Name prefix of the temporary folders for copies of a bucket's objects."""
_OTHER_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WORKING_FOLDERS = {"cache", "checkpoints"}
"""Options that name a folder that the command both reads and writes; an output may lie in it."""


class Input(Address):
    """The address of an input in a bucket."""


@dataclass(frozen=True)
class BucketOutput:
    """An output in a bucket."""

    place: Address
    kind: Kind

    def __str__(self) -> str:
        return str(self.place)


def input_path(text: str) -> Path | Input:
    """The type of an option that names an input: a path of this machine or a gs:// address."""
    return Input.parse(text) if text.startswith("gs://") else _local(text)


def input_or_text(text: str) -> str | Path | Input:
    """The type of an option that names an input or is itself a JSON object."""
    if text.startswith("gs://"):
        return Input.parse(text)
    return text if text.lstrip().startswith("{") else _local(text)


def output(kind: Kind) -> Callable[[str], Output | BucketOutput]:
    """The type of an option that names an output of this kind."""
    return lambda text: (
        BucketOutput(Address.parse(text), kind) if text.startswith("gs://") else Output(_local(text), kind)
    )


def folder_path(text: str) -> Path | Address:
    """The type of an option that names a folder that the command reads and writes while it runs."""
    return Address.parse(text) if text.startswith("gs://") else _local(text)


def local_path(text: str) -> Path:
    """The type of an option that names a path of this machine and must not be a gs:// address."""
    if text.startswith("gs://"):
        raise InvalidInput(f"This must be a file or folder of this machine. Received: {text}")
    return _local(text)


def _local(text: str) -> Path:
    """Returns the path with a leading `~` expanded, because a shell does not expand it after an equals sign."""
    if not text:
        raise InvalidInput("A path must not be empty. Received: ''")
    if _OTHER_ADDRESS.match(text):  # as a path, it would be a folder with the name of the scheme
        raise InvalidInput(f"A place must be a path of this machine or a gs:// address. Received: {text}")
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def local_paths(arguments: argparse.Namespace, *read: Path | Address) -> Iterator[argparse.Namespace]:
    """Yields `arguments` with a path of this machine for each input and output in a bucket.

    Inputs are downloaded completely before the body runs, and pointers to data on a volume are followed. Outputs that
    the body wrote are uploaded after it has succeeded. Before anything else, this checks that outputs can be written
    and overlap no input, so that a stage does not fail after hours of work. The path of a copy ends with the option's
    name and the address, so that messages that name the copy are clear.

    Args:
        arguments: the parsed command line.
        read: paths and addresses that the command reads in addition to those among `arguments`.

    Raises:
        InvalidInput, TryAgain: an input cannot be read or an output cannot be written; also those of the body.
    """
    given = vars(arguments)
    require_apart(
        [value.place for value in given.values() if isinstance(value, Output | BucketOutput)],
        [*read, *(value for name, value in given.items() if name not in _WORKING_FOLDERS and _is_place(value))],
        [value for name, value in given.items() if name in _WORKING_FOLDERS and _is_place(value)],
    )
    for name, value in given.items():
        if isinstance(value, Output):
            outputs.require_writable(value)
        elif isinstance(value, BucketOutput):
            require_writable(value.place)
            _replaceable(value)
        elif isinstance(value, Address) and not isinstance(value, Input):
            require_writable(value)
        elif name == "checkpoints" and isinstance(value, Path):
            volume.require_writable(value, "The folder of the checkpoints")
    remove_abandoned(Path(tempfile.gettempdir()), PREFIX)
    with workplace(Path(tempfile.gettempdir()), PREFIX) as folder:
        local: dict[str, Path | Output] = {}
        for name, value in given.items():
            if isinstance(value, Input | BucketOutput):
                address = value.place if isinstance(value, BucketOutput) else value
                path = folder / name / "gs" / address.bucket / address.name
                path.parent.mkdir(parents=True)
                local[name] = Output(path, value.kind) if isinstance(value, BucketOutput) else path
                if isinstance(value, Input):
                    transfer.download(value, path)
                    local[name] = volume.followed(path)
            elif isinstance(value, Path) and name not in _WORKING_FOLDERS:
                local[name] = volume.followed(value)
        yield argparse.Namespace(**given | local)
        for name, value in local.items():
            if isinstance(value, Output) and value.place.exists():
                transfer.upload(value.place, given[name].place, _replaceable(given[name]), value.kind.what)


def _is_place(value: object) -> bool:
    return isinstance(value, Path | Address)


def require_writable(address: Address) -> None:
    """Checks that objects can be written below `address`, by starting an upload that leaves nothing behind.

    Raises:
        InvalidInput: there is no such bucket, no permission, or no credentials.
        TryAgain: the bucket does not answer.
    """
    with bucket.opened(address) as opened:
        opened.blob((address / ".writable").name).create_resumable_upload_session(
            size=1, timeout=bucket.ANSWER_WITHIN_SECONDS, retry=bucket.retry(bucket.ANSWER_WITHIN_SECONDS)
        )


def _replaceable(output: BucketOutput) -> set[str]:
    """Returns the names of an earlier output's files, which the new output replaces; empty for a file.

    Raises:
        InvalidInput: the place holds something other than an earlier output of this kind, complete or interrupted; also
            as `bucket.opened`.
        TryAgain: as `bucket.opened`.
    """
    kind, address = output.kind, output.place
    with bucket.opened(address) as opened:
        file = opened.get_blob(address.name, retry=objects.retry()) if address.name else None
        if kind.mark and not file and (interrupted := files_of_interrupted(opened, address, kind.what)) is not None:
            return interrupted
        files = transfer.whole_files(opened, address) if kind.mark else {}
        mark = files.get(kind.mark) if kind.mark else file
        content = objects.read(mark) if mark and mark.size <= MOST_BYTES else None
    is_own = content is not None and kind.is_own(content)
    if ((file or files) and not is_own) or (file and kind.mark):
        raise InvalidInput(f"{kind.rule} Received: {output}")
    return kind.owned(content) if is_own and kind.mark else set()

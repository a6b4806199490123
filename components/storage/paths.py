"""Command paths that may be gs:// addresses: inputs are downloaded, outputs are uploaded if the command succeeds."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.storage import bucket, objects, outputs
from components.storage.bucket import Address
from components.storage.output_kinds import MOST_BYTES, Kind
from components.storage.outputs import Output
from components.storage.overlap import require_apart
from components.storage.transfer import download, read_listing, upload
from gan_core.errors import InvalidInput, TryAgain
from gan_core.staging import remove_abandoned, workplace

PREFIX = "gan-pipeline-at-work-"
"""Name prefix of the temporary folders that hold copies of a bucket's objects."""
_WORKING_FOLDERS = {"cache", "checkpoints"}
"""Options that name a folder which the command both reads and writes; an output may lie in it."""


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
    """The path with a leading `~` expanded, which a shell does not do after an equals sign."""
    if not text:
        raise InvalidInput("A path must not be empty. Received: ''")
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def local_paths(arguments: argparse.Namespace, *read: Path | Address) -> Iterator[argparse.Namespace]:
    """Yields `arguments` with a path of this machine for each input and output in a bucket.

    Inputs have been downloaded completely by then. Outputs that the body wrote are uploaded after it has succeeded.
    Before all that, it checks that outputs can be written and overlap no input, so that a stage does not fail after
    hours of work.

    Args:
        arguments: the parsed command line.
        read: what the command reads besides the paths among `arguments`.

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
            _require_own(value)
        elif isinstance(value, Address) and not isinstance(value, Input):
            require_writable(value)
        elif name == "checkpoints" and isinstance(value, Path):
            outputs.require_folder(value)
    remove_abandoned(Path(tempfile.gettempdir()), PREFIX)
    with workplace(Path(tempfile.gettempdir()), PREFIX) as folder:
        places = {name: folder / name / _last_name(value) for name, value in given.items() if _is_copied(value)}
        local = {
            name: Output(path, given[name].kind) if isinstance(given[name], BucketOutput) else path
            for name, path in places.items()
        }
        try:
            for name, path in places.items():
                path.parent.mkdir()
                if isinstance(given[name], Input):
                    download(given[name], path)
            yield argparse.Namespace(**given | local)
            for name, path in places.items():
                if isinstance(given[name], BucketOutput) and path.exists():
                    upload(path, given[name].place)
        except (InvalidInput, TryAgain) as error:
            message = str(error)
            for name, path in places.items():
                message = message.replace(str(path), str(given[name]))
            raise type(error)(message) from None


def _is_place(value: object) -> bool:
    return isinstance(value, Path | Address)


def _is_copied(value: object) -> bool:
    return isinstance(value, Input | BucketOutput)


def _last_name(value: Input | BucketOutput) -> str:
    address = value.place if isinstance(value, BucketOutput) else value
    return address.name.rpartition("/")[2] or address.bucket


def require_writable(address: Address) -> None:
    """Checks that objects can be written below `address`, by starting an upload, which leaves nothing behind.

    Raises:
        InvalidInput: no such bucket, no permission, no credentials.
        TryAgain: the bucket does not answer.
    """
    with bucket.opened(address) as opened:
        opened.blob((address / ".writable").name).create_resumable_upload_session(
            size=1, timeout=bucket.ANSWER_WITHIN_SECONDS, retry=bucket.retry(bucket.ANSWER_WITHIN_SECONDS)
        )


def _require_own(output: BucketOutput) -> None:
    """Checks that the object or the listing that would be replaced is an earlier output of the same kind."""
    kind, address = output.kind, output.place
    with bucket.opened(address) as opened:
        listing = read_listing(opened, address) if kind.mark else None
        mark = (address / listing.folder / kind.mark) if listing else address
        found = opened.get_blob(mark.name, retry=objects.retry()) if listing or not kind.mark else None
        content = None
        if found is not None and found.size <= MOST_BYTES:
            content = objects.read_object(opened, mark.name)
    if (listing or found) and (content is None or not kind.is_own(content[0])):
        raise InvalidInput(f"{kind.rule} Received: {output}")

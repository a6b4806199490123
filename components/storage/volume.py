"""Keeps data on a volume that the steps of a pipeline mount, so that Kubeflow does not copy them from pod to pod.

The environment variable DATA_VOLUME names the volume's folder. A step then writes its data there, and its output is a
pointer: a file with the name of the data on the volume. The name is made of the digest of their files. So equal data
have one place, and a pointer from Kubeflow's cache is valid again if deleted data are made again.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from components.storage.output_kinds import Kind
from components.storage.outputs import Output, require_folder, whole_output
from gan_core.digests import file_digest, json_digest
from gan_core.errors import InvalidInput
from gan_core.staging import remove_abandoned, workplace

VARIABLE = "DATA_VOLUME"
NAME = re.compile(r"(fetched|prepared)-[0-9a-f]{64}")
"""Names of data on the volume."""
_MOST_BYTES = 100  # of a pointer
_AT_WORK = ".at-work-"
POINTER = Kind(
    "a pointer to data on a volume", lambda content: NAME.fullmatch(content.decode(errors="replace")) is not None
)


@contextlib.contextmanager
def kept_output(output: Output, what: Literal["fetched", "prepared"]) -> Iterator[Path]:
    """Yields a temporary path for a folder, as `whole_output`; with a volume, the folder goes there.

    The folder appears on the volume whole or not at all. If equal data are already there, they stay, so several
    processes may write the same data at once; damaged data are replaced.

    Raises:
        InvalidInput: the output or the volume cannot be written.
    """
    if not (root := os.environ.get(VARIABLE)):
        with whole_output(output) as folder:
            yield folder
        return
    require_writable(Path(root), "The volume of the data")
    remove_abandoned(Path(root), _AT_WORK)
    with whole_output(replace(output, kind=POINTER)) as pointer, workplace(Path(root), _AT_WORK) as place:
        yield place / "new"
        digest = _digest(place / "new")
        name = f"{what}-{digest}"
        _move(place, Path(root, name), digest)
        pointer.write_text(name, encoding="utf-8")


def followed(place: Path) -> Path:
    """Returns the folder on the volume that the file `place` points to; `place` itself if it is no pointer.

    Raises:
        InvalidInput: this process mounts no volume, or the data are not there.
    """
    try:
        content = place.read_bytes() if place.is_file() and place.stat().st_size <= _MOST_BYTES else b""
    except OSError:  # the command says why it cannot read its input
        return place
    if not POINTER.recognises(content):
        return place
    name = content.decode()
    if not (root := os.environ.get(VARIABLE)):
        raise InvalidInput(
            "Data on a volume can be read only where it is mounted: in the steps of a pipeline whose profile has "
            f"`data_claim`. Received: {place}, which points to {name}"
        )
    folder = Path(root, name)
    if folder.is_symlink() or not folder.is_dir():
        raise InvalidInput(
            "The data must still be on the volume. To make them again, run the pipeline once without Kubeflow's cache: "
            f"compile it with KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT=true and submit it. Received: no folder {folder}"
        )
    with contextlib.suppress(OSError):
        os.utime(folder)  # components.prune removes data that were not used for long
    return folder


def is_on_volume(folder: Path) -> bool:
    """Whether the folder is on the volume."""
    root = os.environ.get(VARIABLE, "")
    return bool(root) and Path(root) in folder.parents


def remove(folder: Path) -> None:
    """Removes data from the volume, where they are whole until they are gone."""
    with workplace(folder.parent, _AT_WORK) as place:
        os.rename(folder, place / "old")


def require_writable(folder: Path, what: str) -> None:
    """Checks that a folder, which may be a mounted volume, can be written.

    Raises:
        InvalidInput: it cannot. The message begins with `what` and says how to change that on Kubernetes.
    """
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"{what} must be writable. On Kubernetes, a new volume often belongs to root: "
            "`kubectl -n kubeflow create job --from=cronjob/gan-checkpoints-writable gan-checkpoints-writable-1` "
            f"changes that. Received: {folder}, for user {os.getuid()} in group {os.getgid()}"
        )
    require_folder(folder)


def _move(place: Path, target: Path, digest: str) -> None:
    """Moves the folder `new` of the workplace `place` to `target`, unless equal data are there."""
    if target.is_dir() and _digest(target) == digest:
        os.utime(target)
        return
    with contextlib.suppress(FileNotFoundError):
        os.rename(target, place / "damaged")
    try:
        os.rename(place / "new", target)
    except OSError:  # another process moved equal data there meanwhile
        if not target.is_dir():
            raise


def _digest(folder: Path) -> str:
    """Returns the SHA-256 of the names and contents of all files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return json_digest([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])

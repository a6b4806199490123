"""Checks the inputs that name a cluster run's raw data; used both when a run is submitted and in its steps.

`data_pointer` is one of these:

- the text of a DVC pointer, or the gs:// address of one; `data_remote` is then the DVC remote with the content
- a gs:// prefix
- empty, if `prepare.source` names a built-in data set
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from gan_core.bucket_address import split_bucket, split_version
from gan_core.errors import InvalidInput
from gan_core.file_names import require_inside
from gan_core.record import Record, faults
from gan_core.yaml_limits import require_bounded

MAX_CHARACTERS = 4096  # a pointer to a folder has about 100
Load = Callable[[str], Any]  # a YAML parser; this package imports none


class DvcPointer(Record):
    """A DVC pointer to a folder: an output of a .dvc file or of dvc.lock.

    Attributes:
        md5: digest of the folder's listing, which holds the md5 of each file.
        path: path of the folder in its repository.
        size, nfiles: number of bytes and of files; DVC writes them for information only.
    """

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]
    hash: Literal["md5"]
    path: str
    size: int | None = None
    nfiles: int | None = None

    @classmethod
    def parse(cls, text: str, load: Load) -> Self:
        """Reads the untrusted text of a .dvc file, or of one output in dvc.lock.

        Raises:
            InvalidInput: it is not a pointer that `dvc add` or `dvc repro` of DVC 3 writes for a folder.
        """
        rule = "The pointer must be what DVC 3 writes for a folder"
        if len(text) > MAX_CHARACTERS:
            raise InvalidInput(f"{rule}, {MAX_CHARACTERS} characters at most. Received: {len(text)}")
        require_bounded(text, "the pointer")
        try:
            document = load(text)
        except Exception:  # the parser may raise any exception
            raise InvalidInput(f"{rule}, as YAML. Received: {text[:200]!r}") from None
        if isinstance(document, dict) and document.keys() == {"outs"}:
            document = document["outs"]
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        try:
            output = cls.model_validate(document, strict=True)
        except ValidationError as error:
            raise InvalidInput(f"{rule}: {faults(error)[0]}. Received: {text[:200]!r}") from None
        require_inside(output.path)
        return output


def require_remote(remote: str) -> None:
    """Checks that a DVC remote is a bucket's address or can be a folder's path.

    Raises:
        InvalidInput: it is neither.
    """
    if remote.startswith("gs://"):
        split_bucket(remote)
    elif "://" in remote or not remote or not remote.isprintable():
        raise InvalidInput(f"A DVC remote must be gs://bucket/folder or a folder. Received: {remote[:200]!r}")


def require_data(pointer: str, remote: str, load: Load) -> None:
    """Checks that a run's `data_pointer` and `data_remote` name raw data, before anything is sent.

    Raises:
        InvalidInput: they do not name raw data, or only one of them is given.
    """
    is_prefix = pointer.startswith("gs://") and not pointer.endswith(".dvc")
    if bool(remote) != bool(pointer and not is_prefix):
        raise InvalidInput(
            "data_pointer and data_remote must be given together; only a gs:// prefix of files has no remote. "
            f"Received: data_pointer={pointer[:200]!r}, data_remote={remote[:200]!r}"
        )
    if pointer.startswith("gs://"):
        split_version(pointer)
    elif pointer:
        DvcPointer.parse(pointer, load)
    if remote:
        require_remote(remote)
        if not remote.startswith(("gs://", "/")):
            raise InvalidInput(
                f"data_remote must be gs://bucket/folder or the absolute path of a folder in pods. Received: {remote}"
            )


def require_source(source: str, pointer: str) -> None:
    """Checks that `prepare.source` fits a run's `data_pointer`.

    Raises:
        InvalidInput: data is fetched but a built-in data set is named, or nothing is fetched but a folder is named.
    """
    from gan_core.modalities.choice import built_in

    if pointer and source in built_in():
        raise InvalidInput(
            "If raw data is fetched, prepare.source must name it (-S prepare.source=cats), not a built-in data set. "
            f"Received: prepare.source={source!r}, data_pointer={pointer[:200]!r}"
        )
    if not pointer and source not in built_in():
        raise InvalidInput(
            f"On a cluster prepare.source must be one of {', '.join(built_in())}, or raw data must be given with "
            f"--data-pointer with --data-remote, or --data-prefix. Received: prepare.source={source!r}"
        )

"""Packs a training's records for MLflow into one file, from which a later step sends what MLflow has not received.

The disk of a pod is deleted with the pod, so records that MLflow did not receive must leave it as an output.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from components.storage.outputs import Output, whole_output
from components.tracking.failures import answered
from components.tracking.sender import Sender
from components.tracking.spool import FILES, PICTURES, Spool, is_picture
from gan_core.errors import InvalidInput


@contextlib.contextmanager
def packed(folder: Path, output: Output | None) -> Iterator[None]:
    """Writes the records in `folder` to the tar file `output` when the body has succeeded.

    Pictures and sounds that MLflow has received are left out.
    """
    yield
    if output is None:
        return
    with closing(Spool(folder)) as spool:
        received = spool.sent["pictures"]
        pictures = [path for path in spool.pictures() if path.name not in received]
    with whole_output(output) as file, tarfile.open(file, "w") as archive:
        for path in [*(folder / name for name in FILES), *pictures]:
            archive.add(path, str(path.relative_to(folder)))  # with the time, which names it in MLflow


def deliver(file: Path) -> str:
    """Sends the records in a file of `packed` that MLflow has not received, and returns the id of their MLflow run.

    Raises:
        InvalidInput: it is another file, or MLflow cannot be used.
        TryAgain: MLflow does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        _unpack(file, Path(folder))
        with closing(Spool(Path(folder))) as spool:
            if unsent := spool.unsent():
                with answered(f"receive {unsent}"):
                    Sender(spool).send()
            return str(spool.sent["run_id"])


def _unpack(file: Path, folder: Path) -> None:
    (folder / PICTURES).mkdir()
    try:
        with tarfile.open(file, "r:") as archive:  # uncompressed, so the content is no larger than the file
            members = [one for one in archive if one.isfile() and (one.name in FILES or is_picture(Path(one.name)))]
            if absent := set(FILES) - {one.name for one in members}:
                raise ValueError(f"it has no {min(absent)}")
            for one in members:  # by hand, because the filters of `extractall` are missing in Python 3.11.2
                path = folder / one.name
                with archive.extractfile(one) as content, path.open("wb") as written:  # type: ignore[union-attr]
                    shutil.copyfileobj(content, written)
                os.utime(path, (one.mtime, one.mtime))
    except (OSError, ValueError, tarfile.TarError) as error:
        raise InvalidInput(
            f"A training's records must be a file that components.train wrote: {error}. Received: {file}"
        ) from None

"""The object `.incomplete`, which a folder in a bucket contains while a command writes it.

It holds the kind of the output and the names of the files that the command writes or replaces. So a later command
continues an interrupted upload of its own kind, and touches no other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from components.storage import objects
from components.storage.bucket import Address
from gan_core.errors import InvalidInput

INCOMPLETE = ".incomplete"


def marker_content(kind: str, files: Iterable[str]) -> bytes:
    """Returns the content of the marker for an output of this kind and these files."""
    return json.dumps({"kind": kind, "files": sorted(files)}).encode()


def files_of_interrupted(opened: Any, address: Address, kind: str) -> set[str] | None:
    """Returns the names of the files that an interrupted command wrote or replaced; None if there is no marker.

    Raises:
        InvalidInput: the marker does not belong to an output of this kind.
    """
    marker = opened.get_blob((address / INCOMPLETE).name, retry=objects.retry())
    if marker is None:
        return None
    try:
        content = json.loads(objects.read(marker))
        found, files = str(content["kind"]), {str(name) for name in content["files"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        found, files = "", set()
    if found != kind:
        raise InvalidInput(
            "Only a command for the same kind of output may continue an incomplete folder; delete the folder if nobody "
            f"needs it. Received: {address}, whose {INCOMPLETE} names {found[:100] or 'no kind'}, not {kind}"
        )
    return files

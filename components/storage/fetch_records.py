"""Records in the user's cache which files `fetch` wrote to a folder, so that a later fetch can replace them.

The fetched folder itself contains only the data. A file that was changed later does not count as fetched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from components.storage.cache_folder import cache_folder
from components.storage.output_kinds import FETCHED, Kind
from gan_core.staging import whole_file


def kind_at(place: Path) -> Kind:
    """Returns the kind of a fetched folder at `place`, with the files that an earlier fetch wrote there."""
    try:
        recorded = json.loads(_record(place).read_bytes())
        found = {str(name): tuple(map(int, stamp)) for name, stamp in recorded.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return FETCHED
    own = frozenset(name for name, stamp in found.items() if _stamp(place / name) == stamp)
    return Kind(FETCHED.what, FETCHED.recognises, FETCHED.mark, recorded=own)


def remember(place: Path) -> None:
    """Records the files below `place`. If the cache cannot be written, a later fetch will not replace them."""
    stamps = {str(path.relative_to(place)): _stamp(path) for path in sorted(place.rglob("*")) if path.is_file()}
    with contextlib.suppress(OSError), whole_file(_record(place)) as unfinished:
        unfinished.write_text(json.dumps(stamps), encoding="utf-8")


def _record(place: Path) -> Path:
    return cache_folder() / "fetched" / f"{hashlib.sha256(os.fsencode(place.resolve())).hexdigest()}.json"


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns)

"""Where commands keep results that need not be computed or downloaded twice."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME/gan-pipeline`, by default `~/.cache/gan-pipeline`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"

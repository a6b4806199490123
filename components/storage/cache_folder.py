"""The folder in which commands keep results that are costly to compute or download."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns the user's cache folder: `$XDG_CACHE_HOME/gan-pipeline`, by default `~/.cache/gan-pipeline`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"

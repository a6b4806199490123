"""Finds the project's folder, also from DVC's temporary copies of the project.

`dvc exp run --temp` and `--queue` run in a copy of the files that git and DVC track. Untracked files exist only in the
project itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from gan_core.data.archives.files import is_pattern, matches_of


def project_root() -> Path:
    """Returns the project's folder. When DVC runs an experiment in a copy, it names the folder in DVC_ROOT."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def source_folder(name: str) -> str:
    """Returns what `prepare.source` names; looks in the project's folder for what does not exist here."""
    there = str(project_root() / name)
    return there if not _names_something(name) and _names_something(there) else name


def _names_something(source: str) -> bool:
    return Path(source).exists() or bool(is_pattern(source) and matches_of(source))

"""Finds the project's folder, also from DVC's temporary copies of the project.

`dvc exp run --temp` and `--queue` run in a copy of the files that git and DVC track. Untracked files exist only in the
project itself.
"""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """Returns the project's folder. When DVC runs an experiment in a copy, it names the folder in DVC_ROOT."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def source_folder(name: str) -> str:
    """Returns the folder that `prepare.source` names; looks in the project's folder if it does not exist here."""
    there = project_root() / name
    return str(there) if not Path(name).exists() and there.exists() else name

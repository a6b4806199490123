"""The project's folder, also from DVC's temporary copies of the project.

`dvc exp run --temp` and `--queue` run in a copy of the files that git and DVC track. Untracked files exist only in the
project itself.
"""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The project's folder. DVC names it in DVC_ROOT when it runs an experiment in a copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def source_folder(name: str) -> str:
    """The folder that `prepare.source` names: the one in the project if there is none here."""
    there = project_root() / name
    return str(there) if not Path(name).exists() and there.exists() else name

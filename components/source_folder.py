"""Where the folder that `prepare.source` names stands, also in DVC's temporary copies of the project."""

from __future__ import annotations

from pathlib import Path

from components.tracking.address import project_root


def source_folder(name: str) -> str:
    """The folder `name`, or, if it is not here, the one of that name in the project.

    `dvc exp run --temp` and `--queue` run in a copy of what git and DVC track. Images that neither tracks are in the
    project alone.
    """
    there = project_root() / name
    return str(there) if not Path(name).exists() and there.exists() else name

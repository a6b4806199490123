"""Finds the folder that `prepare.source` names, also from DVC's temporary copies of the project."""

from __future__ import annotations

from pathlib import Path

from components.tracking.address import project_root


def source_folder(name: str) -> str:
    """The folder `name`, or the folder of that name in the project if there is none here.

    `dvc exp run --temp` and `--queue` run in a copy of the files that git and DVC track. Untracked images exist only in
    the project itself.
    """
    there = project_root() / name
    return str(there) if not Path(name).exists() and there.exists() else name

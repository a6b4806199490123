"""Copies of this project, each a Git repository with one commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FILES = ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", "data/raw/README.md")
_IDENTITY = "[user]\nname = a\nemail = a@example.com\n[init]\ndefaultBranch = main\n"


def copy_project(folder: Path, environment: dict[str, str], *more: str) -> None:
    """Copies the code, the parameters, and the files `more` into `folder` and commits them.

    Writes the identity that the commit needs into the file of `GIT_CONFIG_GLOBAL` in `environment`.
    """
    for name in ("components", "gan_core", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*_FILES, *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    Path(environment["GIT_CONFIG_GLOBAL"]).write_text(_IDENTITY)
    for line in ("git init -q", "git add .", "git commit -qm first"):
        subprocess.run(line.split(), cwd=folder, env=environment, check=True)

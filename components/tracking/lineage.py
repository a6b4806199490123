"""Describes the origin of the running code: git, the container image, the pipeline run."""

from __future__ import annotations

import os
import subprocess


def lineage() -> dict[str, str]:
    """Returns the tags of a tracking run or a registered model.

    `git_revision` and `git_dirty` come from git; without a git repository, as in a container, they come from the
    environment variables GIT_REVISION and GIT_DIRTY. `image_digest` and `kfp_run_id` come from IMAGE_DIGEST and
    KFP_RUN_ID, `dvc_experiment` from DVC_EXP_NAME, which DVC sets.
    """
    revision = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    tags = {
        "git_revision": revision or os.environ.get("GIT_REVISION"),
        "git_dirty": str(changes != "").lower() if revision else os.environ.get("GIT_DIRTY"),
        "image_digest": os.environ.get("IMAGE_DIGEST"),
        "kfp_run_id": os.environ.get("KFP_RUN_ID"),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
    }
    return {"git_revision": "unknown", "git_dirty": "unknown"} | {name: value for name, value in tags.items() if value}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()

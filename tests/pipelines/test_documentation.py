"""Runs the command lines of docs/kubeflow.md unchanged."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from kubeflow_server import KubeflowServer

from pipelines.__main__ import main
from tests.pipelines.conftest import IMAGE, ROOT

BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "docs" / "kubeflow.md").read_text(), re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
OURS = [line for line in LINES if line.startswith(("python -m pipelines ", "kfp "))]


def test_the_page_has_lines_for_every_command() -> None:
    words = {" ".join(line.split()[:4]) for line in OURS}
    assert words >= {f"python -m pipelines {name}" for name in ("compile", "publish", "submit", "schedule")}
    assert {" ".join(line.split()[:3]) for line in OURS} >= {"kfp run submit", "kfp run create"}


def test_every_line_runs_from_top_to_bottom(server: KubeflowServer, repository: Path, monkeypatch) -> None:
    """Runs the lines in a new repository with the files that they name. An earlier line publishes the version."""
    for name in ("params.yaml", "infra", "presets"):
        (repository / name).symlink_to(ROOT / name)
    (repository / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    (repository / "data" / "raw").mkdir(parents=True)
    (repository / "data" / "raw" / "cats.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["add", "."], [*identity, "commit", "-q", "-m", "second"]):
        subprocess.run(["git", *arguments], check=True)
    version = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True).strip()
    schedules = (ROOT / "infra" / "schedules.yaml").read_text().replace("git-000000000000", f"git-{version}")
    (repository / ".git" / "schedules.yaml").write_text(schedules)
    monkeypatch.setenv("IMAGE", IMAGE)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for line in OURS:
        command = line.replace("git-000000000000", f"git-{version}").replace("infra/schedules", ".git/schedules")
        if command.startswith("kfp"):
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        else:
            main(shlex.split(os.path.expandvars(command))[3:])
    assert len(server.runs) == len([line for line in OURS if "submit --" in line or line.startswith("kfp run")])
    steps = [
        run.get("runtime_config", {}).get("parameters", {}).get("train", {}).get("steps")
        for run in server.runs.values()
    ]
    assert steps.count(20000) == 2
    assert [run["status"] for run in server.recurring.values()] == ["ENABLED"]


@pytest.mark.parametrize("profile", ["small", "cpu", "gpu", "gpu-spot"])
def test_the_page_names_every_profile(profile: str) -> None:
    assert f"{profile}.yaml" in (ROOT / "docs" / "kubeflow.md").read_text()

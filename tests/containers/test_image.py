"""The contents of the image. Every command works under the strictest conditions of a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import docker
import pytest
from strict_containers import ROOT, Run

SIZE_LIMIT_BYTES = 2.3e9
COMMANDS = [path.stem for path in (ROOT / "components").glob("*.py") if "__main__" in path.read_text()]
STAGES = sorted(COMMANDS + [path.parent.name for path in (ROOT / "components").glob("*/__main__.py")])


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "infra/mlflow/Dockerfile"])
def test_hadolint_finds_nothing(dockerfile: str) -> None:
    command = [str(Path(sys.executable).parent / "hadolint"), dockerfile]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_every_command_runs_as_any_user_without_shell_network_or_writable_root(run: Run, stage: str) -> None:
    code, log = run("python", "-m", f"components.{stage}", "--help")
    assert (code, log[:6]) == (0, "usage:"), log


def test_the_strict_conditions_hold(run: Run) -> None:
    probe = """
import os, socket, subprocess
def fails(action, *errors):
    try:
        action()
    except errors:
        return True
    return False
print(os.getuid(), os.getgid())
print(fails(lambda: open("/app/x", "w"), OSError), fails(lambda: open("/home/x", "w"), OSError))
print(fails(lambda: socket.create_connection(("192.0.2.1", 80), 1), OSError))
print(fails(lambda: subprocess.run("true", shell=True, check=True), OSError))
open("/tmp/x", "w")
"""
    assert run("python", "-c", probe) == (0, "12345 0\nTrue True\nTrue\nTrue\n")


def test_a_wrong_parameter_gives_exit_code_2(run: Run) -> None:
    code, log = run(
        "python", "-m", "components.register", "--config", "{}", "--model=m", "--scores=s", "--registration=r"
    )
    assert (code, log.splitlines()[0]) == (
        2,
        "error: The parameter 'register.model_name' is missing. Received: nothing",
    )


def test_the_image_has_a_user_labels_and_a_limited_size(engine: docker.DockerClient, image: str) -> None:
    built = engine.images.get(image)
    config = built.attrs["Config"]
    assert config["User"] == "65532:65532"
    assert not config["Entrypoint"]
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["revision"] == revision.stdout.strip()
    assert labels["version"]
    assert "source" in labels
    assert built.attrs["Size"] <= SIZE_LIMIT_BYTES


def test_the_image_contains_compiled_code_and_no_unneeded_packages(run: Run) -> None:
    probe = """
import importlib.util, pathlib, sys
print(*sorted(path.name for path in pathlib.Path("/app").iterdir()))
tensorflow = pathlib.Path(importlib.util.find_spec("tensorflow").origin).parent
sources = [path for root in (pathlib.Path("/app"), tensorflow) for path in root.rglob("*.py")]
compiled = [pathlib.Path(importlib.util.cache_from_source(path)).exists() for path in sources]
print(len(sources) > 1000, all(compiled))
print([name for name in ("kfp", "pip", "uv", "pytest", "flask") if importlib.util.find_spec(name)])
"""
    assert run("python", "-c", probe) == (0, "components gan_core sbom.json\nTrue True\n[]\n")


def test_the_bill_of_materials_lists_every_package(run: Run) -> None:
    probe = """
import importlib.metadata, json, re
def name(text):
    return re.sub(r"[-_.]+", "-", text).lower()
bill = {(name(c["name"]), c["version"]) for c in json.load(open("/app/sbom.json"))["components"]}
installed = {(name(d.name), d.version) for d in importlib.metadata.distributions()}
print(len(installed) > 100, sorted(installed ^ bill))
"""
    assert run("python", "-c", probe) == (0, "True []\n")

"""The wheel contains only the library with its data files, and requires only what the library imports."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from recipes import project_parameters

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gan_core"
UV = shutil.which("uv")
EXAMPLE = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/library.md").read_text(encoding="utf-8"))[0]

pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree. uv contains the build backend, so the build needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--offline", "--wheel", "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_contains_exactly_the_library(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"gan_core/py.typed", "gan_core/evaluation/report/page.html.j2"} < expected
    assert {f"gan_core/data/embedded/t10k-{kind}-ubyte.xz" for kind in ("images-idx3", "labels-idx1")} < expected
    with zipfile.ZipFile(wheel) as archive:
        contents = {name for name in archive.namelist() if not name.endswith("/") and ".dist-info/" not in name}
    assert contents == expected


def test_the_wheel_requires_exactly_what_the_library_imports(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_bytes(
            next(archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        )
    required = {re.match(r"[\w-]+", line)[0] for line in metadata.get_all("Requires-Dist")}
    roots = {
        name.partition(".")[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported(node)
    }
    imports = roots - sys.stdlib_module_names - {"gan_core"}
    assert required == {{"PIL": "pillow", "sklearn": "scikit-learn"}.get(name, name) for name in imports}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def uv(*arguments: object) -> str:
    """Runs `uv pip …` and returns its messages; skips the test if no package index answers."""
    done = subprocess.run([UV, "pip", *map(str, arguments)], capture_output=True, text=True, check=False)
    if "error sending request" in done.stderr or "dns error" in done.stderr:
        pytest.skip(f"no package index answers: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_wheel_trains_in_an_empty_environment_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    into = ("install", "--python", python)
    installed = set(re.findall(r"(?m)^ \+ ([\w.-]+)", uv(*into, "--dry-run", wheel)))
    assert {"gan-pipeline", "keras", "tensorflow"} < installed
    # TensorFlow requires google-pasta, which is not a Google Cloud package.
    assert {name for name in installed if re.match(r"dvc|mlflow|kfp|google", name)} == {"google-pasta"}

    # The locked versions, which are in uv's cache, with the smaller build of TensorFlow.
    cpu = ROOT / "requirements-cpu.in"
    uv(*into, "--override", cpu, "--constraint", ROOT / "requirements-dev.txt", "-r", cpu, wheel)
    parameters = project_parameters()
    parameters["evaluate"] |= {"extractor": "random", "metrics": ["fid"], "samples": 500, "bootstrap_replicates": 2}
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(parameters), encoding="utf-8")
    (folder / "example.py").write_text(EXAMPLE, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "example.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "fd_random" in done.stdout
    assert json.loads((folder / "generator" / "generator.json").read_text())["images_seen"] == 640
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "fd_random" in report
    assert "data:image/png" in report

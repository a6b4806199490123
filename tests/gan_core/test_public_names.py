"""The public names of gan_core: loaded when they are used, typed, and with an example that runs."""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipes import project_parameters, small_parameters

import gan_core

ROOT = Path(gan_core.__file__).parent.parent
SCRIPT, ARRAYS_SCRIPT = re.findall(
    r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/library.md").read_text(encoding="utf-8")
)
PARAMETERS = project_parameters()
SMALL_EVALUATION = {
    "extractor": "random",
    "metrics": ["fid"],
    "samples": 50,
    "sampling_seeds": 1,
    "bootstrap_replicates": 2,
}


def test_no_tensorflow_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys, gan_core, gan_core.config; dir(gan_core); gan_core.TrainConfig, gan_core.PreparedDataset\n"
        "print({'tensorflow', 'keras'} & sys.modules.keys())"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def test_exactly_the_public_names_are_exported() -> None:
    assert [name for name in gan_core.__all__ if getattr(gan_core, name).__name__ != name] == []
    assert set(gan_core.__all__) <= set(dir(gan_core))
    with pytest.raises(AttributeError, match="module 'gan_core' has no attribute 'PrepareConfiguration'"):
        gan_core.PrepareConfiguration  # noqa: B018


def test_a_type_checker_sees_every_public_name(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    names = [*gan_core.__all__, "nonesuch"]
    script.write_text("".join([SCRIPT, "import gan_core\n", *(f"reveal_type(gan_core.{name})\n" for name in names)]))
    (tmp_path / "arrays.py").write_text(ARRAYS_SCRIPT)
    said = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", script, tmp_path / "arrays.py"],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    types = re.findall(r'Revealed type is "(.*)"', said.stdout)
    assert [name for name, seen in zip(names, types, strict=True) if seen == "Any"] == ["nonesuch"], said.stdout
    assert "1 error in 1 file (checked 2 source files)" in said.stdout


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder in which the script of docs/library.md ran with small parameters, and the names that it defined."""
    folder = tmp_path_factory.mktemp("examples")
    parameters = {
        "prepare": PARAMETERS["prepare"]
        | {"source": "digits", "image": PARAMETERS["prepare"]["image"] | {"height": 16, "width": 16}},
        "train": small_parameters(),
        "evaluate": PARAMETERS["evaluate"] | SMALL_EVALUATION,
        "register": PARAMETERS["register"],
    }
    (folder / "params.json").write_text(json.dumps(parameters))
    names: dict[str, Any] = {"np": np}
    with contextlib.chdir(folder):
        exec(SCRIPT, names)
    return folder, names


def test_the_script_with_images_in_memory_runs(
    example: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example[0])
    names: dict[str, Any] = {}
    exec(ARRAYS_SCRIPT, names)
    assert names["gan"].images_seen == 80
    assert names["samples"].shape == (2, 16, 16, 1)


@pytest.mark.parametrize("name", gan_core.__all__)
def test_the_example_of_a_public_name_runs(
    name: str, example: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = example
    monkeypatch.chdir(folder)
    start = names | {public: getattr(gan_core, public) for public in gan_core.__all__}
    found = doctest.DocTestFinder(recurse=False).find(getattr(gan_core, name), name, globs=start)
    assert found[0].examples, f"the docstring of {name} has no example"
    lines: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found[0], out=lines.append)
    assert not lines, "".join(lines)
